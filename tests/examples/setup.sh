#!/bin/sh
# Installs what the examples need, with the versions that they pin, in a cache folder outside the tree. Prints where:
#
#     sqlalchemy=<path of the Python that has SQLAlchemy and psycopg>
#     django=<path of the Python that has Django and psycopg>
#     ruby=<path of a ruby that has Active Record>
#     modules=<folder with node-postgres and a copy of the script>
#     node=<path of node>
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/install.sh
. "$here/../support/install.sh"
examples=$here/../../examples

begin_installing
sqlalchemy=$(python_with "$examples/psycopg-sqlalchemy/requirements.txt")
django=$(python_with "$examples/django/requirements.txt")
ruby -e 'require "active_record"; require "pg"' 2>/dev/null ||
    fail "Active Record is missing: apt-get install ruby-activerecord ruby-pg"
modules=$(node_modules_of "$examples/node-postgres")
beside_modules "$modules" "$examples/node-postgres/notes.mjs"

echo "sqlalchemy=$sqlalchemy"
echo "django=$django"
echo "ruby=$(command -v ruby)"
echo "modules=$modules"
echo "node=$(command -v node)"
