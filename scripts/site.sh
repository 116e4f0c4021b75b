#!/usr/bin/env bash
# Builds the documentation as a site in target/site: docs/ by mdBook, and beside it the files that its pages link to.
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf target/site
mdbook build
# Links that leave docs/ are links to files of this repository, as they are.
grep -oh '](\.\./[^)#]*' docs/*.md | sed 's,^](\.\./,,' | sort -u | while read -r file; do
    mkdir -p "target/site/$(dirname "$file")"
    cp "$file" "target/site/$file"
done
# mdBook takes every link to a page for one to a page of its own.
sed -i -E 's/href="\.\.\/([^"]*)\.html/href="..\/\1.md/g' target/site/docs/*.html
echo 'target/site/docs/index.html'
