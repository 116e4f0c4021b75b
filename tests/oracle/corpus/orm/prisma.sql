SELECT pg_advisory_lock(72707369);
SELECT version();
-- CreateEnum
CREATE TYPE "Role" AS ENUM ('READER', 'EDITOR');
-- CreateTable
CREATE TABLE "User" (
    "id" SERIAL NOT NULL,
    "email" TEXT NOT NULL,
    "name" TEXT,
    "role" "Role" NOT NULL DEFAULT 'READER',
    "created" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);
-- CreateTable
CREATE TABLE "Profile" (
    "id" SERIAL NOT NULL,
    "bio" TEXT NOT NULL,
    "userId" INTEGER NOT NULL,
    CONSTRAINT "Profile_pkey" PRIMARY KEY ("id")
);
-- CreateTable
CREATE TABLE "Post" (
    "id" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "content" TEXT,
    "published" BOOLEAN NOT NULL DEFAULT false,
    "views" INTEGER NOT NULL DEFAULT 0,
    "price" DECIMAL(65,30) NOT NULL DEFAULT 0,
    "meta" JSONB,
    "labels" TEXT[],
    "created" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated" TIMESTAMP(3) NOT NULL,
    "authorId" INTEGER NOT NULL,
    CONSTRAINT "Post_pkey" PRIMARY KEY ("id")
);
-- CreateTable
CREATE TABLE "Category" (
    "id" SERIAL NOT NULL,
    "name" TEXT NOT NULL,
    CONSTRAINT "Category_pkey" PRIMARY KEY ("id")
);
-- CreateTable
CREATE TABLE "_CategoryToPost" (
    "A" INTEGER NOT NULL,
    "B" TEXT NOT NULL,
    CONSTRAINT "_CategoryToPost_AB_pkey" PRIMARY KEY ("A","B")
);
-- CreateIndex
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
-- CreateIndex
CREATE UNIQUE INDEX "Profile_userId_key" ON "Profile"("userId");
-- CreateIndex
CREATE INDEX "Post_authorId_published_idx" ON "Post"("authorId", "published");
-- CreateIndex
CREATE UNIQUE INDEX "Category_name_key" ON "Category"("name");
-- CreateIndex
CREATE INDEX "_CategoryToPost_B_index" ON "_CategoryToPost"("B");
-- AddForeignKey
ALTER TABLE "Profile" ADD CONSTRAINT "Profile_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
-- AddForeignKey
ALTER TABLE "Post" ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
-- AddForeignKey
ALTER TABLE "_CategoryToPost" ADD CONSTRAINT "_CategoryToPost_A_fkey" FOREIGN KEY ("A") REFERENCES "Category"("id") ON DELETE CASCADE ON UPDATE CASCADE;
-- AddForeignKey
ALTER TABLE "_CategoryToPost" ADD CONSTRAINT "_CategoryToPost_B_fkey" FOREIGN KEY ("B") REFERENCES "Post"("id") ON DELETE CASCADE ON UPDATE CASCADE;
\c
INSERT INTO "public"."Category" ("name") VALUES ('news'), ('it''s'), ('art') ON CONFLICT DO NOTHING;
BEGIN;
INSERT INTO "public"."User" ("email","name","role","created") VALUES ('user0@example.org',NULL,CAST('EDITOR'::text AS "public"."Role"),'2026-11-23 21:59:59.654') RETURNING "public"."User"."id";
INSERT INTO "public"."Profile" ("bio","userId") VALUES ('about 0','1') RETURNING "public"."Profile"."id";
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE "t0"."id" = '1' LIMIT '1';
COMMIT;
BEGIN;
INSERT INTO "public"."User" ("email","name","role","created") VALUES ('user1@example.org','User 1',CAST('READER'::text AS "public"."Role"),'2026-11-23 21:59:59.693') RETURNING "public"."User"."id";
INSERT INTO "public"."Profile" ("bio","userId") VALUES ('about 1','2') RETURNING "public"."Profile"."id";
INSERT INTO "public"."Post" ("id","title","published","views","price","meta","labels","created","updated","authorId") VALUES ('42b81f04-aad2-47e7-8a13-379693290de1','Post 1.0','f','0','1.50','{"deep": {"n": 1}, "lang": "de"}','{a,l0}','2026-11-23 21:59:59.693','2026-11-23 21:59:59.693','2') RETURNING "public"."Post"."id";
SELECT "public"."Category"."id" FROM "public"."Category" WHERE ("public"."Category"."name" = 'c0' AND 1=1) LIMIT '1' OFFSET '0';
INSERT INTO "public"."Category" ("name") VALUES ('c0') RETURNING "public"."Category"."id";
INSERT INTO "public"."_CategoryToPost" ("B","A") VALUES ('42b81f04-aad2-47e7-8a13-379693290de1','4') ON CONFLICT DO NOTHING;
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE "t0"."id" = '2' LIMIT '1';
COMMIT;
BEGIN;
INSERT INTO "public"."User" ("email","name","role","created") VALUES ('user2@example.org',NULL,CAST('READER'::text AS "public"."Role"),'2026-11-23 21:59:59.734') RETURNING "public"."User"."id";
INSERT INTO "public"."Profile" ("bio","userId") VALUES ('about 2','3') RETURNING "public"."Profile"."id";
INSERT INTO "public"."Post" ("id","title","published","views","price","meta","labels","created","updated","authorId") VALUES ('eb15eea2-8798-446d-88eb-3f64e6d37a6d','Post 2.0','f','0','1.50','{"deep": {"n": 2}, "lang": "de"}','{a,l0}','2026-11-23 21:59:59.734','2026-11-23 21:59:59.734','3') RETURNING "public"."Post"."id";
SELECT "public"."Category"."id" FROM "public"."Category" WHERE ("public"."Category"."name" = 'c0' AND 1=1) LIMIT '1' OFFSET '0';
INSERT INTO "public"."_CategoryToPost" ("B","A") VALUES ('eb15eea2-8798-446d-88eb-3f64e6d37a6d','4') ON CONFLICT DO NOTHING;
INSERT INTO "public"."Post" ("id","title","published","views","price","meta","labels","created","updated","authorId") VALUES ('e0d3685a-7770-4444-bee9-8cd2cdd6dc73','Post 2.1','t','2','1.50','{"deep": {"n": 2}, "lang": "en"}','{a,l1}','2026-11-23 21:59:59.734','2026-11-23 21:59:59.734','3') RETURNING "public"."Post"."id";
SELECT "public"."Category"."id" FROM "public"."Category" WHERE ("public"."Category"."name" = 'c1' AND 1=1) LIMIT '1' OFFSET '0';
INSERT INTO "public"."Category" ("name") VALUES ('c1') RETURNING "public"."Category"."id";
INSERT INTO "public"."_CategoryToPost" ("B","A") VALUES ('e0d3685a-7770-4444-bee9-8cd2cdd6dc73','5') ON CONFLICT DO NOTHING;
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE "t0"."id" = '3' LIMIT '1';
COMMIT;
BEGIN;
INSERT INTO "public"."User" ("email","name","role","created") VALUES ('user3@example.org','User 3',CAST('EDITOR'::text AS "public"."Role"),'2026-11-23 21:59:59.782') RETURNING "public"."User"."id";
INSERT INTO "public"."Profile" ("bio","userId") VALUES ('about 3','4') RETURNING "public"."Profile"."id";
INSERT INTO "public"."Post" ("id","title","published","views","price","meta","labels","created","updated","authorId") VALUES ('27820484-be21-4e26-a3ff-c07d272cd0e5','Post 3.0','f','0','1.50','{"deep": {"n": 3}, "lang": "de"}','{a,l0}','2026-11-23 21:59:59.782','2026-11-23 21:59:59.782','4') RETURNING "public"."Post"."id";
SELECT "public"."Category"."id" FROM "public"."Category" WHERE ("public"."Category"."name" = 'c0' AND 1=1) LIMIT '1' OFFSET '0';
INSERT INTO "public"."_CategoryToPost" ("B","A") VALUES ('27820484-be21-4e26-a3ff-c07d272cd0e5','4') ON CONFLICT DO NOTHING;
INSERT INTO "public"."Post" ("id","title","published","views","price","meta","labels","created","updated","authorId") VALUES ('ba55dd29-8105-4f8b-b1cf-c5337ee30986','Post 3.1','t','3','1.50','{"deep": {"n": 3}, "lang": "en"}','{a,l1}','2026-11-23 21:59:59.782','2026-11-23 21:59:59.782','4') RETURNING "public"."Post"."id";
SELECT "public"."Category"."id" FROM "public"."Category" WHERE ("public"."Category"."name" = 'c1' AND 1=1) LIMIT '1' OFFSET '0';
INSERT INTO "public"."_CategoryToPost" ("B","A") VALUES ('ba55dd29-8105-4f8b-b1cf-c5337ee30986','5') ON CONFLICT DO NOTHING;
INSERT INTO "public"."Post" ("id","title","published","views","price","meta","labels","created","updated","authorId") VALUES ('b03a9235-9967-4319-ada9-988da25e1a53','Post 3.2','t','6','1.50','{"deep": {"n": 3}, "lang": "en"}','{a,l2}','2026-11-23 21:59:59.782','2026-11-23 21:59:59.782','4') RETURNING "public"."Post"."id";
SELECT "public"."Category"."id" FROM "public"."Category" WHERE ("public"."Category"."name" = 'c2' AND 1=1) LIMIT '1' OFFSET '0';
INSERT INTO "public"."Category" ("name") VALUES ('c2') RETURNING "public"."Category"."id";
INSERT INTO "public"."_CategoryToPost" ("B","A") VALUES ('b03a9235-9967-4319-ada9-988da25e1a53','6') ON CONFLICT DO NOTHING;
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE "t0"."id" = '4' LIMIT '1';
COMMIT;
BEGIN;
INSERT INTO "public"."User" ("email","name","role","created") VALUES ('user4@example.org',NULL,CAST('READER'::text AS "public"."Role"),'2026-11-23 21:59:59.841') RETURNING "public"."User"."id";
INSERT INTO "public"."Profile" ("bio","userId") VALUES ('about 4','5') RETURNING "public"."Profile"."id";
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE "t0"."id" = '5' LIMIT '1';
COMMIT;
BEGIN;
INSERT INTO "public"."User" ("email","name","role","created") VALUES ('user5@example.org','User 5',CAST('READER'::text AS "public"."Role"),'2026-11-23 21:59:59.845') RETURNING "public"."User"."id";
INSERT INTO "public"."Profile" ("bio","userId") VALUES ('about 5','6') RETURNING "public"."Profile"."id";
INSERT INTO "public"."Post" ("id","title","published","views","price","meta","labels","created","updated","authorId") VALUES ('7769db66-94aa-40f1-aa27-f0e65755028f','Post 5.0','f','0','1.50','{"deep": {"n": 5}, "lang": "de"}','{a,l0}','2026-11-23 21:59:59.845','2026-11-23 21:59:59.845','6') RETURNING "public"."Post"."id";
SELECT "public"."Category"."id" FROM "public"."Category" WHERE ("public"."Category"."name" = 'c0' AND 1=1) LIMIT '1' OFFSET '0';
INSERT INTO "public"."_CategoryToPost" ("B","A") VALUES ('7769db66-94aa-40f1-aa27-f0e65755028f','4') ON CONFLICT DO NOTHING;
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE "t0"."id" = '6' LIMIT '1';
COMMIT;
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0";
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created", "User_profile"."__prisma_data__" AS "profile", "User_posts"."__prisma_data__" AS "posts" FROM "public"."User" AS "t0" LEFT JOIN LATERAL (SELECT JSONB_BUILD_OBJECT('id', "t1"."id", 'bio', "t1"."bio", 'userId', "t1"."userId") AS "__prisma_data__" FROM "public"."Profile" AS "t1" WHERE "t0"."id" = "t1"."userId" LIMIT '1') AS "User_profile" ON true LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t4"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t3"."id", 'title', "t3"."title", 'content', "t3"."content", 'published', "t3"."published", 'views', "t3"."views", 'price', "t3"."price", 'meta', "t3"."meta", 'labels', "t3"."labels", 'created', "t3"."created", 'updated', "t3"."updated", 'authorId', "t3"."authorId", 'categories', "Post_categories_m2m"."__prisma_data__") AS "__prisma_data__", "t3"."id" FROM (SELECT "t2".* FROM "public"."Post" AS "t2" WHERE "t0"."id" = "t2"."authorId" /* root select */) AS "t3" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t7"."__prisma_data__" FROM "public"."_CategoryToPost" AS "t6" LEFT JOIN LATERAL (SELECT JSONB_BUILD_OBJECT('id', "t10"."id", 'name', "t10"."name") AS "__prisma_data__", "t10"."id" FROM (SELECT "t9".* FROM "public"."Category" AS "t9" WHERE "t6"."A" = "t9"."id" /* root select */) AS "t10") AS "t7" ON true WHERE "t6"."B" = "t3"."id" /* inner */) AS "t8" /* outer */) AS "Post_categories_m2m" ON true /* inner select */) AS "t4" /* middle select */) AS "t5" /* outer select */) AS "User_posts" ON true;
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."role"::text, "public"."User"."created" FROM "public"."User" WHERE 1=1 OFFSET '0';
SELECT "public"."Profile"."id", "public"."Profile"."bio", "public"."Profile"."userId" FROM "public"."Profile" WHERE "public"."Profile"."userId" IN ('1','2','3','4','5','6') OFFSET '0';
\c
SELECT "public"."Post"."id", "public"."Post"."title", "public"."Post"."content", "public"."Post"."published", "public"."Post"."views", "public"."Post"."price", "public"."Post"."meta", "public"."Post"."labels", "public"."Post"."created", "public"."Post"."updated", "public"."Post"."authorId" FROM "public"."Post" WHERE "public"."Post"."authorId" IN ('1','2','3','4','5','6') OFFSET '0';
SELECT "public"."Category"."id", "public"."Category"."name", "t0"."B" AS "CategoryToPost@Post" FROM "public"."Category" INNER JOIN "public"."_CategoryToPost" AS "t0" ON "t0"."A" = "public"."Category"."id" WHERE (1=1 AND "t0"."B" IN ('42b81f04-aad2-47e7-8a13-379693290de1','eb15eea2-8798-446d-88eb-3f64e6d37a6d','e0d3685a-7770-4444-bee9-8cd2cdd6dc73','27820484-be21-4e26-a3ff-c07d272cd0e5','ba55dd29-8105-4f8b-b1cf-c5337ee30986','b03a9235-9967-4319-ada9-988da25e1a53','7769db66-94aa-40f1-aa27-f0e65755028f')) OFFSET '0';
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created", "User_posts"."__prisma_data__" AS "posts" FROM "public"."User" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t3"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t2"."id", 'title', "t2"."title", 'content', "t2"."content", 'published', "t2"."published", 'views', "t2"."views", 'price', "t2"."price", 'meta', "t2"."meta", 'labels', "t2"."labels", 'created', "t2"."created", 'updated', "t2"."updated", 'authorId', "t2"."authorId") AS "__prisma_data__", "t2"."views", "t2"."published" FROM (SELECT "t1".* FROM "public"."Post" AS "t1" WHERE "t0"."id" = "t1"."authorId" /* root select */) AS "t2" /* inner select */) AS "t3" WHERE "t3"."published" = 't' ORDER BY "t3"."views" DESC LIMIT '1' /* middle select */) AS "t4" /* outer select */) AS "User_posts" ON true;
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE ("t0"."email" = 'user1@example.org' AND 1=1) LIMIT '1';
SELECT "t0"."id", "t0"."name", JSONB_BUILD_OBJECT('posts', COALESCE("t1"."_aggr_count_posts", 0)) AS "_count" FROM "public"."User" AS "t0" LEFT JOIN LATERAL (SELECT COUNT(*) AS "_aggr_count_posts" FROM "public"."Post" AS "t2" WHERE "t0"."id" = "t2"."authorId") AS "t1" ON true WHERE ("t0"."id" = '2' AND 1=1) LIMIT '1';
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE EXISTS(SELECT "t1"."authorId" FROM "public"."Post" AS "t1" WHERE ("t1"."views" > '1' AND ("t0"."id") = ("t1"."authorId") AND "t1"."authorId" IS NOT NULL)) ORDER BY "t0"."id" DESC LIMIT '1';
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" LEFT JOIN "public"."Profile" AS "j3" ON ("j3"."userId") = ("t0"."id") WHERE (NOT EXISTS(SELECT "t1"."authorId" FROM "public"."Post" AS "t1" WHERE ((NOT "t1"."published" = 't') AND ("t0"."id") = ("t1"."authorId") AND "t1"."authorId" IS NOT NULL)) AND NOT EXISTS(SELECT "t2"."authorId" FROM "public"."Post" AS "t2" WHERE ("t2"."views" = '3' AND ("t0"."id") = ("t2"."authorId") AND "t2"."authorId" IS NOT NULL)) AND (NOT ("j3"."userId" IS NULL)));
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE ("t0"."name" ILIKE ('%' || 'USER' || '%') OR "t0"."role" = CAST('EDITOR'::text AS "public"."Role"));
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE ("t0"."id" IN ('1','2','3') AND (NOT "t0"."name" IS NULL) AND "t0"."created" < '2026-11-23 22:00:01.078');
SELECT "t0"."id", "t0"."title", "t0"."content", "t0"."published", "t0"."views", "t0"."price", "t0"."meta", "t0"."labels", "t0"."created", "t0"."updated", "t0"."authorId" FROM "public"."Post" AS "t0" WHERE ("t0"."labels" @> '{a}' AND ("t0"."meta"#>ARRAY['lang']::text[])::jsonb::jsonb = '"en"');
SELECT DISTINCT ON ("t0"."authorId") "t0"."id", "t0"."title", "t0"."content", "t0"."published", "t0"."views", "t0"."price", "t0"."meta", "t0"."labels", "t0"."created", "t0"."updated", "t0"."authorId" FROM "public"."Post" AS "t0" WHERE ("t0"."labels" && '{l1}' AND "t0"."title"::text LIKE ('Post' || '%'));
SELECT "t0"."id", "t0"."title", "t0"."content", "t0"."published", "t0"."views", "t0"."price", "t0"."meta", "t0"."labels", "t0"."created", "t0"."updated", "t0"."authorId" FROM "public"."Post" AS "t0" LEFT JOIN "public"."User" AS "orderby_1" ON ("orderby_1"."id") = ("t0"."authorId") ORDER BY "orderby_1"."name"ASC NULLS LAST, "t0"."views" DESC LIMIT '2' OFFSET '1';
SELECT "t0"."id", "t0"."title", "t0"."content", "t0"."published", "t0"."views", "t0"."price", "t0"."meta", "t0"."labels", "t0"."created", "t0"."updated", "t0"."authorId" FROM "public"."Post" AS "t0" LIMIT '1';
SELECT "public"."Post"."id", "public"."Post"."title", "public"."Post"."content", "public"."Post"."published", "public"."Post"."views", "public"."Post"."price", "public"."Post"."meta", "public"."Post"."labels", "public"."Post"."created", "public"."Post"."updated", "public"."Post"."authorId" FROM "public"."Post" WHERE "public"."Post"."id" >= (SELECT "public"."Post"."id" FROM "public"."Post" WHERE ("public"."Post"."id") = ('42b81f04-aad2-47e7-8a13-379693290de1')) ORDER BY "public"."Post"."id" ASC LIMIT '2' OFFSET '0';
SELECT "t0"."id", "t0"."title", "t0"."content", "t0"."published", "t0"."views", "t0"."price", "t0"."meta", "t0"."labels", "t0"."created", "t0"."updated", "t0"."authorId" FROM "public"."Post" AS "t0" WHERE "t0"."views" >= "t0"."views";
SELECT "t0"."id", "t0"."name", "Category_posts_m2m"."__prisma_data__" AS "posts" FROM "public"."Category" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t2"."__prisma_data__" FROM "public"."_CategoryToPost" AS "t1" LEFT JOIN LATERAL (SELECT JSONB_BUILD_OBJECT('title', "t5"."title", 'authorId', "t5"."authorId", 'author', "Post_author"."__prisma_data__") AS "__prisma_data__", "t5"."id" FROM (SELECT "t4".* FROM "public"."Post" AS "t4" WHERE "t1"."B" = "t4"."id" /* root select */) AS "t5" LEFT JOIN LATERAL (SELECT JSONB_BUILD_OBJECT('email', "t8"."email") AS "__prisma_data__" FROM "public"."User" AS "t8" WHERE "t5"."authorId" = "t8"."id" LIMIT '1') AS "Post_author" ON true) AS "t2" ON true WHERE "t1"."A" = "t0"."id" /* inner */) AS "t3" /* outer */) AS "Category_posts_m2m" ON true;
SELECT "t0"."id", "t0"."name", JSONB_BUILD_OBJECT('posts', COALESCE("t1"."_aggr_count_posts", 0)) AS "_count" FROM "public"."Category" AS "t0" LEFT JOIN (SELECT "public"."_CategoryToPost"."A", COUNT("public"."_CategoryToPost"."A") AS "orderby_aggregator" FROM "public"."Post" LEFT JOIN "public"."_CategoryToPost" ON ("public"."Post"."id" = "public"."_CategoryToPost"."B") WHERE 1=1 GROUP BY "public"."_CategoryToPost"."A") AS "orderby_1_Post" ON ("t0"."id" = "orderby_1_Post"."A") LEFT JOIN LATERAL (SELECT COUNT(*) AS "_aggr_count_posts" FROM "public"."Post" AS "t2" LEFT JOIN "public"."_CategoryToPost" AS "t3" ON "t3"."B" = "t2"."id" WHERE "t3"."A" = "t0"."id") AS "t1" ON true ORDER BY COALESCE("orderby_1_Post"."orderby_aggregator", '0') DESC;
SELECT COUNT(*) AS "_count$_all" FROM (SELECT "public"."Post"."id" FROM "public"."Post" WHERE "public"."Post"."published" = 't' OFFSET '0') AS "sub";
SELECT AVG("views") AS "_avg$views", SUM("price") AS "_sum$price", MIN("created") AS "_min$created", COUNT(*) AS "_count$_all" FROM (SELECT "public"."Post"."views", "public"."Post"."price", "public"."Post"."created", "public"."Post"."id" FROM "public"."Post" WHERE 1=1 OFFSET '0') AS "sub";
SELECT MAX("public"."Post"."views") AS "_max$views", "public"."Post"."authorId" FROM "public"."Post" WHERE 1=1 GROUP BY "public"."Post"."authorId" HAVING MAX("public"."Post"."views") > '0' ORDER BY "public"."Post"."authorId" ASC OFFSET '0';
SELECT "t0"."id", "User_posts"."__prisma_data__" AS "posts" FROM "public"."User" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t3"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t2"."id", 'title', "t2"."title", 'content', "t2"."content", 'published', "t2"."published", 'views', "t2"."views", 'price', "t2"."price", 'meta', "t2"."meta", 'labels', "t2"."labels", 'created', "t2"."created", 'updated', "t2"."updated", 'authorId', "t2"."authorId") AS "__prisma_data__", "t2"."published" FROM (SELECT "t1".* FROM "public"."Post" AS "t1" WHERE "t0"."id" = "t1"."authorId" /* root select */) AS "t2" /* inner select */) AS "t3" WHERE "t3"."published" = 't' /* middle select */) AS "t4" /* outer select */) AS "User_posts" ON true WHERE ("t0"."id" = '3' AND 1=1) LIMIT '1';
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE "t0"."id" IN ('1','2','3');
SELECT 1;
SELECT id, email FROM "User" WHERE id IN ('1','2') ORDER BY id;
SELECT count(*)::int AS n FROM "Post" WHERE title LIKE 'Post%';
SELECT "t0"."id", "t0"."title", "t0"."content", "t0"."published", "t0"."views", "t0"."price", "t0"."meta", "t0"."labels", "t0"."created", "t0"."updated", "t0"."authorId" FROM "public"."Post" AS "t0" WHERE "t0"."published" = 't' LIMIT '1';
BEGIN;
UPDATE "public"."Post" SET "views" = ("public"."Post"."views" + '1'), "labels" = "public"."Post"."labels" || '{new}', "updated" = '2026-11-23 22:00:00.326' WHERE ("public"."Post"."id" = 'e0d3685a-7770-4444-bee9-8cd2cdd6dc73' AND 1=1) RETURNING "public"."Post"."id", "public"."Post"."title", "public"."Post"."content", "public"."Post"."published", "public"."Post"."views", "public"."Post"."price", "public"."Post"."meta", "public"."Post"."labels", "public"."Post"."created", "public"."Post"."updated", "public"."Post"."authorId";
SELECT "public"."Category"."id", "t0"."B" AS "CategoryToPost@Post" FROM "public"."Category" INNER JOIN "public"."_CategoryToPost" AS "t0" ON "t0"."A" = "public"."Category"."id" WHERE (1=1 AND "t0"."B" IN ('e0d3685a-7770-4444-bee9-8cd2cdd6dc73')) OFFSET '0';
DELETE FROM "public"."_CategoryToPost" WHERE ("public"."_CategoryToPost"."B" = ('e0d3685a-7770-4444-bee9-8cd2cdd6dc73') AND "public"."_CategoryToPost"."A" IN ('5'));
SELECT "public"."Category"."id" FROM "public"."Category" WHERE ("public"."Category"."id" = '1' AND 1=1) OFFSET '0';
INSERT INTO "public"."_CategoryToPost" ("B","A") VALUES ('e0d3685a-7770-4444-bee9-8cd2cdd6dc73','1') ON CONFLICT DO NOTHING;
SELECT "t1"."id", "t1"."title", "t1"."content", "t1"."published", "t1"."views", "t1"."price", "t1"."meta", "t1"."labels", "t1"."created", "t1"."updated", "t1"."authorId" FROM "public"."Post" AS "t1" WHERE "t1"."id" = 'e0d3685a-7770-4444-bee9-8cd2cdd6dc73' LIMIT '1';
COMMIT;
UPDATE "public"."Post" SET "published" = 't', "updated" = '2026-11-23 22:00:00.346' WHERE "public"."Post"."published" = 'f';
UPDATE "public"."Post" SET "views" = '1', "updated" = '2026-11-23 22:00:00.347' WHERE "public"."Post"."views" = '0' RETURNING "public"."Post"."id", "public"."Post"."title", "public"."Post"."content", "public"."Post"."published", "public"."Post"."views", "public"."Post"."price", "public"."Post"."meta", "public"."Post"."labels", "public"."Post"."created", "public"."Post"."updated", "public"."Post"."authorId";
INSERT INTO "public"."User" ("email","role","created") VALUES ('user1@example.org',CAST('READER'::text AS "public"."Role"),'2026-11-23 22:00:00.355') ON CONFLICT ("email") DO UPDATE SET "name" = 'One' WHERE ("public"."User"."email" = 'user1@example.org' AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."role"::text, "public"."User"."created";
BEGIN;
SELECT "public"."User"."id" FROM "public"."User" WHERE ("public"."User"."email" = 'late@example.org' AND 1=1) OFFSET '0';
INSERT INTO "public"."User" ("email","name","role","created") VALUES ('late@example.org','Late',CAST('READER'::text AS "public"."Role"),'2026-11-23 22:00:00.378') RETURNING "public"."User"."id";
SELECT "t1"."id", "t1"."email", "t1"."name", "t1"."role"::text, "t1"."created" FROM "public"."User" AS "t1" WHERE "t1"."id" = '8' LIMIT '1';
COMMIT;
BEGIN;
SELECT COUNT(*) AS "_count$_all" FROM (SELECT "public"."Post"."id" FROM "public"."Post" WHERE 1=1 OFFSET '0') AS "sub";
UPDATE "public"."User" SET "role" = CAST('EDITOR'::text AS "public"."Role") WHERE ("public"."User"."id" = '2' AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."role"::text, "public"."User"."created";
COMMIT;
BEGIN;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
SELECT "t0"."id", "t0"."email", "t0"."name", "t0"."role"::text, "t0"."created" FROM "public"."User" AS "t0" WHERE ("t0"."id" = '2' AND 1=1) LIMIT '1';
UPDATE "public"."User" SET "name" = 'Two' WHERE ("public"."User"."id" = '2' AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."role"::text, "public"."User"."created";
COMMIT;
BEGIN;
INSERT INTO "public"."Category" ("name") VALUES ('never') RETURNING "public"."Category"."id", "public"."Category"."name";
ROLLBACK;
\c
DELETE FROM "public"."Post" WHERE "public"."Post"."views" > '100';
DELETE FROM "public"."Profile" WHERE ("public"."Profile"."userId" = '1' AND 1=1) RETURNING "public"."Profile"."id", "public"."Profile"."bio", "public"."Profile"."userId";
UPDATE "Post" SET "views" = "views" + '1' WHERE "published";
