// A blog in Prisma: the client's queries with and without joins, nested writes, transactions, raw SQL.

import { readFileSync } from "node:fs";
import pg from "pg";
import { PrismaPg } from "@prisma/adapter-pg";
import { Prisma, PrismaClient } from "@prisma/client";

const url = process.env.DATABASE_URL;

async function migrate() {
  const client = new pg.Client(url);
  await client.connect();
  // As Migrate does: one statement at a time, under its lock.
  await client.query("SELECT pg_advisory_lock(72707369)");
  await client.query("SELECT version()");
  for (const statement of readFileSync("migration.sql", "utf8").split(";\n").filter((text) => text.trim())) {
    await client.query(statement);
  }
  await client.end();
}

async function fill(prisma) {
  await prisma.category.createMany({ data: [{ name: "news" }, { name: "it's" }, { name: "art" }], skipDuplicates: true });
  for (let n = 0; n < 6; n++) {
    await prisma.user.create({
      data: {
        email: `user${n}@example.org`,
        name: n % 2 ? `User ${n}` : null,
        role: n % 3 ? "READER" : "EDITOR",
        profile: { create: { bio: `about ${n}` } },
        posts: {
          create: [0, 1, 2].slice(0, n % 4).map((m) => ({
            title: `Post ${n}.${m}`, views: n * m, published: m > 0, price: "1.50", labels: ["a", `l${m}`],
            meta: { lang: m ? "en" : "de", deep: { n } },
            categories: { connectOrCreate: { where: { name: `c${m}` }, create: { name: `c${m}` } } },
          })),
        },
      },
    });
  }
}

async function read(prisma) {
  const everything = { profile: true, posts: { include: { categories: true } } };
  await prisma.user.findMany();
  await prisma.user.findMany({ include: everything });
  await prisma.user.findMany({ include: everything, relationLoadStrategy: "query" });
  await prisma.user.findMany({ include: { posts: { where: { published: true }, orderBy: { views: "desc" }, take: 1 } } });
  await prisma.user.findUnique({ where: { email: "user1@example.org" } });
  await prisma.user.findUniqueOrThrow({ where: { id: 2 }, select: { name: true, _count: { select: { posts: true } } } });
  await prisma.user.findFirst({ where: { posts: { some: { views: { gt: 1 } } } }, orderBy: { id: "desc" } });
  await prisma.user.findMany({ where: { posts: { every: { published: true }, none: { views: 3 } }, profile: { isNot: null } } });
  await prisma.user.findMany({ where: { OR: [{ name: { contains: "USER", mode: "insensitive" } }, { role: "EDITOR" }] } });
  await prisma.user.findMany({ where: { id: { in: [1, 2, 3] }, NOT: { name: null }, created: { lt: new Date(Date.now() + 1000) } } });
  await prisma.post.findMany({ where: { labels: { has: "a" }, meta: { path: ["lang"], equals: "en" } } });
  await prisma.post.findMany({ where: { labels: { hasSome: ["l1"] }, title: { startsWith: "Post" } }, distinct: ["authorId"] });
  await prisma.post.findMany({ orderBy: [{ author: { name: { sort: "asc", nulls: "last" } } }, { views: "desc" }], skip: 1, take: 2 });
  const some = await prisma.post.findFirstOrThrow();
  await prisma.post.findMany({ cursor: { id: some.id }, take: 2, orderBy: { id: "asc" } });
  await prisma.post.findMany({ where: { views: { gte: prisma.post.fields.views } } });
  await prisma.category.findMany({ include: { posts: { select: { title: true, author: { select: { email: true } } } } } });
  await prisma.category.findMany({ orderBy: { posts: { _count: "desc" } }, include: { _count: true } });
  await prisma.post.count({ where: { published: true } });
  await prisma.post.aggregate({ _avg: { views: true }, _sum: { price: true }, _min: { created: true }, _count: true });
  await prisma.post.groupBy({ by: ["authorId"], _max: { views: true }, having: { views: { _max: { gt: 0 } } }, orderBy: { authorId: "asc" } });
  await prisma.user.findUnique({ where: { id: 3 } }).posts({ where: { published: true } });
  await Promise.all([1, 2, 3].map((id) => prisma.user.findUnique({ where: { id } })));
  await prisma.$queryRaw`SELECT 1`;
  await prisma.$queryRaw`SELECT id, email FROM "User" WHERE id IN (${Prisma.join([1, 2])}) ORDER BY id`;
  await prisma.$queryRawUnsafe('SELECT count(*)::int AS n FROM "Post" WHERE title LIKE $1', "Post%");
}

async function write(prisma) {
  const { id } = await prisma.post.findFirstOrThrow({ where: { published: true } });
  await prisma.post.update({ where: { id }, data: { views: { increment: 1 }, labels: { push: "new" }, categories: { set: [{ id: 1 }] } } });
  await prisma.post.updateMany({ where: { published: false }, data: { published: true } });
  await prisma.post.updateManyAndReturn({ where: { views: 0 }, data: { views: 1 } });
  await prisma.user.upsert({ where: { email: "user1@example.org" }, update: { name: "One" }, create: { email: "user1@example.org" } });
  await prisma.user.upsert({ where: { email: "late@example.org" }, update: {}, create: { email: "late@example.org", name: "Late" } });
  await prisma.$transaction([prisma.post.count(), prisma.user.update({ where: { id: 2 }, data: { role: "EDITOR" } })]);
  await prisma.$transaction(
    async (tx) => {
      const user = await tx.user.findUniqueOrThrow({ where: { id: 2 } });
      await tx.user.update({ where: { id: user.id }, data: { name: "Two" } });
    },
    { isolationLevel: "Serializable" },
  );
  await prisma.$transaction(async (tx) => {
    await tx.category.create({ data: { name: "never" } });
    throw new Error("rolled back");
  }).catch(() => {});
  await prisma.category.create({ data: { name: "news" } }).catch(() => {});
  await prisma.post.deleteMany({ where: { views: { gt: 100 } } });
  await prisma.profile.delete({ where: { userId: 1 } });
  await prisma.$executeRaw`UPDATE "Post" SET "views" = "views" + ${1} WHERE "published"`;
}

await migrate();
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: 2 }) });
await fill(prisma);
await read(prisma);
await write(prisma);
await prisma.$disconnect();
