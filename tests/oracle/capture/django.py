"""A blog in Django: migrations with the contrib apps, sessions, the admin, and most of what querysets can say."""

import os
import pathlib
import sys
import tempfile
from datetime import date, datetime, timedelta, timezone
from urllib.parse import urlsplit

# This file has the name of the framework.
sys.path = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]
# Models belong to a package.
packages = tempfile.TemporaryDirectory()
pathlib.Path(packages.name, "blog").mkdir()
pathlib.Path(packages.name, "blog/__init__.py").touch()
sys.path.append(packages.name)

import django
from django.conf import settings

url = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path[1:], "USER": url.username, "HOST": url.hostname, "PORT": url.port,
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "django.contrib.postgres", "django.contrib.staticfiles", "blog",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__, SECRET_KEY="capture", STATIC_URL="/static/", ALLOWED_HOSTS=["*"], USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.postgres.aggregates import ArrayAgg, StringAgg
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector
from django.core.management import call_command
from django.core.paginator import Paginator
from django.db import connection, models, transaction
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Prefetch, Q, Subquery, Sum, Value, When, Window
from django.db.models.functions import Coalesce, Lower, Now, Rank, RowNumber, TruncMonth
from django.test import Client
from django.urls import path


class Tag(models.Model):
    name = models.CharField(max_length=50, unique=True)

    class Meta:
        app_label = "blog"


class Post(models.Model):
    author = models.ForeignKey(User, on_delete=models.CASCADE, related_name="posts")
    title = models.CharField(max_length=200)
    body = models.TextField()
    tags = models.ManyToManyField(Tag, related_name="posts")
    labels = ArrayField(models.CharField(max_length=20), default=list)
    meta = models.JSONField(default=dict)
    score = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    published = models.DateTimeField(null=True, db_index=True)
    is_draft = models.BooleanField(default=True)

    class Meta:
        app_label = "blog"
        indexes = [GinIndex(fields=["labels"]), models.Index(fields=["is_draft", "-published"])]
        constraints = [models.CheckConstraint(condition=Q(score__gte=0), name="score_is_not_negative")]


class Comment(models.Model):
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="comments")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE)
    text = models.TextField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "blog"


admin.site.register(Tag)
admin.site.register(Post)
urlpatterns = [path("admin/", admin.site.urls)]


def make():
    call_command("migrate", verbosity=0)
    call_command("showmigrations", stdout=open(os.devnull, "w"))
    with connection.schema_editor() as editor:
        for model in (Tag, Post, Comment):
            editor.create_model(model)
    call_command("inspectdb", stdout=open(os.devnull, "w"))


def fill():
    User.objects.create_superuser("root", "root@example.org", "secret")
    users = [User.objects.create_user(f"user{n}", f"user{n}@example.org", "secret") for n in range(5)]
    tags = Tag.objects.bulk_create([Tag(name=f"tag {n}") for n in range(8)])
    start = datetime(2024, 1, 31, 12, tzinfo=timezone.utc)
    for n in range(30):
        post = Post.objects.create(
            author=users[n % 5], title=f"Post {n}", body=f"It's about {n} 'things'", labels=["a", f"l{n % 3}"],
            meta={"views": n, "lang": "en" if n % 2 else "de"}, score=n, is_draft=n % 4 == 0,
            published=start + timedelta(days=n),
        )
        post.tags.set(tags[n % 8 : n % 8 + 2])
        for m in range(n % 3):
            post.comments.create(text=f"comment {m}")
    Tag.objects.bulk_create([Tag(name="tag 1"), Tag(name="new")], ignore_conflicts=True)
    Tag.objects.bulk_create([Tag(name="tag 1")], update_conflicts=True, unique_fields=["name"], update_fields=["name"])
    Tag.objects.get_or_create(name="tag 2")
    Tag.objects.update_or_create(name="later", defaults={"name": "later"})
    Post.objects.filter(is_draft=True).update(score=F("score") + 1)
    posts = list(Post.objects.all()[:3])
    for post in posts:
        post.title += "!"
    Post.objects.bulk_update(posts, ["title"])


def read():
    posts = Post.objects.all()
    first = posts.first()
    reads = [
        posts.select_related("author"), posts.prefetch_related("tags", "comments"), posts.order_by("?")[:3],
        posts.prefetch_related(Prefetch("comments", Comment.objects.order_by("-at"), to_attr="latest")),
        posts.filter(Q(title__icontains="post") & ~Q(is_draft=True) | Q(score__gt=10)),
        posts.filter(author__username__in=["user1", "user2"], tags__name__startswith="tag").distinct(),
        posts.exclude(comments__isnull=True), posts.filter(published__year=2024, published__month__gte=2),
        posts.filter(published__date=date(2024, 2, 3)), posts.filter(published__lt=Now()),
        posts.filter(labels__contains=["a"]), posts.filter(labels__overlap=["l1", "l2"]), posts.filter(labels__len=2),
        posts.filter(meta__lang="en"), posts.filter(meta__views__gt=3), posts.filter(meta__has_key="views"),
        posts.filter(title__regex=r"^Post \d$"), posts.filter(title__iexact="post 3"),
        posts.values("author__username").annotate(n=Count("id"), best=Max("score")).filter(n__gt=2).order_by("-n"),
        posts.annotate(n=Count("comments", distinct=True), total=Coalesce(Sum("comments__id"), 0)),
        posts.annotate(kind=Case(When(score__gt=10, then=Value("good")), default=Value("poor"))).values_list("id", "kind"),
        posts.annotate(rank=Window(Rank(), partition_by="author", order_by=F("score").desc())),
        posts.annotate(row=Window(RowNumber(), order_by="id")).filter(row__lte=3),
        posts.annotate(any_comment=Exists(Comment.objects.filter(post=OuterRef("pk")))).filter(any_comment=True),
        posts.annotate(last=Subquery(Comment.objects.filter(post=OuterRef("pk")).order_by("-at").values("text")[:1])),
        posts.annotate(month=TruncMonth("published")).values("month").annotate(n=Count("id")).order_by("month"),
        posts.annotate(search=SearchVector("title", "body")).filter(search=SearchQuery("things")),
        posts.annotate(rank=SearchRank(SearchVector("body"), SearchQuery("about"))).order_by("-rank")[:5],
        posts.values("author").annotate(all=ArrayAgg("id", ordering="id"), one=StringAgg("title", ", ", ordering="id")),
        posts.order_by("author", "-score").distinct("author"), posts.only("title"), posts.defer("body"),
        posts.filter(score__gt=20).union(posts.filter(score__lt=3)), posts.order_by(Lower("title").desc())[5:10],
        Post.objects.raw("select * from blog_post where id = %s", [first.id]),
        Comment.objects.filter(post__author=first.author).select_related("post__author", "parent"),
    ]
    for query in reads:
        list(query)
    posts.filter(score__gt=3).count(), posts.filter(id=first.id).exists(), posts.get(pk=first.pk), posts.last()
    posts.aggregate(Avg("score"), Sum("score")), posts.in_bulk([1, 2]), posts.dates("published", "month")[0]
    posts.filter(is_draft=False).explain(), list(posts.iterator(chunk_size=10)), posts.latest("published")
    page = Paginator(posts.order_by("id"), 10).page(2)
    list(page), page.has_next(), first.tags.count(), first.refresh_from_db(), first.comments.contains(Comment(pk=1))


def write():
    with transaction.atomic():
        post = Post.objects.select_for_update().get(pk=2)
        post.score += 1
        post.save(update_fields=["score"])
        try:
            with transaction.atomic():
                Tag.objects.create(name="tag 3")
        except django.db.IntegrityError:
            pass
        list(Post.objects.select_for_update(skip_locked=True).filter(is_draft=True)[:2])
        transaction.on_commit(lambda: Post.objects.count())
    Post.objects.filter(pk=3).delete()
    Tag.objects.get(name="new").delete()
    with connection.cursor() as cursor:
        cursor.execute("select count(*), %s from blog_post where labels @> %s", ["it's", ["a"]])
        cursor.execute("select version()")


def browse():
    client = Client()
    client.get("/admin/login/")
    client.post("/admin/login/", {"username": "root", "password": "secret", "next": "/admin/"})
    client.get("/admin/")
    client.get("/admin/blog/post/?q=&o=1")
    client.get("/admin/blog/tag/")
    client.get("/admin/blog/tag/1/change/")
    client.post("/admin/blog/tag/add/", {"name": "from the admin"})
    client.post("/admin/logout/")


make()
fill()
read()
write()
browse()
call_command("clearsessions")
