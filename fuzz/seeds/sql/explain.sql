
explain (analyze, buffers off) select f(1) from t