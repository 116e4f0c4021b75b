// node-postgres at the console at DATABASE_URL.
import assert from 'node:assert/strict'
import pg from 'pg'

const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
await client.connect()
// Without parameters it is the simple protocol, under a name the extended one.
for (const query of ['SHOW POOLS;', { name: 'pools', text: 'show pools' }, { name: 'pools', text: 'show pools' }]) {
  const { rows, fields } = await client.query(query)
  assert.equal(rows[0].database, 'app')
  assert.equal(typeof rows[0].cl_active, 'number')
  assert.equal(fields[2].name, 'cl_active')
}
assert.equal((await client.query('show databases')).rows[0].force_user, null)
assert.equal((await client.query('reconnect app')).command, 'RECONNECT')
await assert.rejects(client.query('show pool'), { code: '42601' })
await client.end()
console.log('ok 1 checks')
