#!/bin/sh
# Installs what the examples need, with the versions that they pin, in a cache folder outside the tree. Prints where:
#
#     sqlalchemy=<path of the Python that has SQLAlchemy and psycopg>
#     django=<path of the Python that has Django and psycopg>
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
modules=$(node_modules_of "$examples/node-postgres")
beside_modules "$modules" "$examples/node-postgres/notes.mjs"

echo "sqlalchemy=$sqlalchemy"
echo "django=$django"
echo "modules=$modules"
echo "node=$(command -v node)"
