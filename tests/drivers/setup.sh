#!/bin/sh
# Makes what the driver checks run on, in a cache folder outside the tree: a Python environment and node modules, both
# with pinned versions. Does nothing when they are there already. The last two lines printed are:
#
#     python=<path of the Python that has psycopg and asyncpg>
#     node=<path of node>
#
# and next to the modules, in the folder that the line modules=<path> before them names, lie copies of the scripts.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/install.sh
. "$here/../support/install.sh"

begin_installing
python=$(python_with "$here/requirements.txt")
modules=$(node_modules_of "$here/node-postgres")
beside_modules "$modules" "$here/node-postgres/check.mjs" "$here/node-postgres/console.mjs" "$here/../soak_drivers/sessions.mjs"

echo "modules=$modules"
echo "python=$python"
echo "node=$(command -v node)"
