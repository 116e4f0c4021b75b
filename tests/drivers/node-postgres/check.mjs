// node-postgres does what its users do with it, against the server at DATABASE_URL.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'

const url = process.env.DATABASE_URL
if (!url) {
  console.error('DATABASE_URL is not set')
  process.exit(1)
}

const schema = `check_${randomBytes(6).toString('hex')}`
const table = `${schema}.t`
const checks = []
const check = (name, run) => checks.push({ name, run })

/** Runs `use` with a connection of its own. */
async function connected(use, options = {}) {
  const client = new pg.Client({ connectionString: url, ...options })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

const freshTable = (client) =>
  client.query(`drop table if exists ${table}; create table ${table} (id int primary key, name text)`)

const ids = async (client) => (await client.query(`select id from ${table} order by id`)).rows.map((row) => row.id)

const value = async (client, ...query) => Object.values((await client.query(...query)).rows[0])[0]

check('simple and parameter queries', () =>
  connected(async (client) => {
    const simple = await client.query("select 1 as a, 'x' as b, null as c")
    assert.deepEqual(simple.rows, [{ a: 1, b: 'x', c: null }])
    const sent = [7, "ü'\\", '1.50', new Date(0), { a: [1] }, [1, 2], Buffer.from([0, 255])]
    const types = ['int', 'text', 'numeric', 'timestamptz', 'jsonb', 'int[]', 'bytea']
    const columns = types.map((type, index) => `$${index + 1}::${type} as c${index}`)
    const { rows } = await client.query(`select ${columns}`, sent)
    assert.deepEqual(Object.values(rows[0]), sent)
    const several = await client.query('select 1 as a; select 2 as b where false; select 3 as c')
    assert.deepEqual(several.map((result) => result.rows), [[{ a: 1 }], [], [{ c: 3 }]])
    assert.equal((await client.query('select generate_series(1, 50000)')).rowCount, 50000)
    assert.equal(await value(client, 'select length($1)', ['y'.repeat(2000000)]), 2000000)
    assert.deepEqual((await client.query('')).rows, [])
    const arrays = await client.query({ text: 'select 1, 2', rowMode: 'array' })
    assert.deepEqual(arrays.rows, [[1, 2]])
  }))

check('binary results', () =>
  connected(async (client) => {
    const { rows } = await client.query({ text: "select $1::int4 as a, 'x'::text as b", values: [5], binary: true })
    assert.deepEqual(rows, [{ a: 5, b: 'x' }])
  }))

check('queries queued without waiting', () =>
  connected(async (client) => {
    const all = await Promise.all(Array.from({ length: 100 }, (_, n) => value(client, 'select $1::int', [n])))
    assert.deepEqual(all, Array.from({ length: 100 }, (_, n) => n))
  }))

check('named prepared statements', () =>
  connected((one) =>
    connected(async (two) => {
      for (let n = 0; n < 10; n++) {
        assert.equal(await value(one, { name: 'same', text: 'select $1::int + 1', values: [n] }), n + 1)
        assert.equal(await value(two, { name: 'same', text: 'select $1::text', values: [`${n}`] }), `${n}`)
      }
      for (let n = 0; n < 100; n++) {
        assert.equal(await value(one, { name: `many ${n}`, text: `select ${n} + $1::int`, values: [1] }), n + 1)
      }
      const divide = (by) => value(one, { name: 'divide', text: 'select 6 / $1::int', values: [by] })
      await assert.rejects(divide(0), { code: '22012' })
      assert.equal(await divide(2), 3)
    })))

check('errors tell everything', () =>
  connected(async (client) => {
    await freshTable(client)
    await client.query(`insert into ${table} values (1)`)
    await assert.rejects(client.query(`insert into ${table} values ($1)`, [1]), {
      code: '23505', schema, table: 't', constraint: 't_pkey', severity: 'ERROR',
    })
    await assert.rejects(client.query('selec 1'), { code: '42601', position: '1' })
    await assert.rejects(client.query('select * from no_such_table'), { code: '42P01' })
    await assert.rejects(client.query('select $1::int', ['x']), { code: '22P02' })
    const notice = once(client, 'notice')
    await client.query("do $$ begin raise notice 'hello'; end $$")
    assert.equal((await notice)[0].message, 'hello')
  }))

check('transactions and savepoints', () =>
  connected((client) =>
    connected(async (other) => {
      await freshTable(client)
      await client.query('begin')
      await client.query(`insert into ${table} values ($1)`, [1])
      assert.deepEqual(await ids(client), [1])
      assert.deepEqual(await ids(other), [])
      await client.query('savepoint s')
      await assert.rejects(client.query(`insert into ${table} values ($1)`, [1]), { code: '23505' })
      await assert.rejects(client.query('select 1'), { code: '25P02' })
      await client.query('rollback to savepoint s')
      await client.query(`insert into ${table} values ($1)`, [2])
      await client.query('commit')
      assert.deepEqual(await ids(other), [1, 2])
      await client.query('begin isolation level repeatable read read only')
      assert.deepEqual(await ids(client), [1, 2])
      await other.query(`insert into ${table} values (3)`)
      assert.deepEqual(await ids(client), [1, 2])
      await assert.rejects(client.query(`delete from ${table}`), { code: '25006' })
      await client.query('rollback')
      assert.deepEqual(await ids(client), [1, 2, 3])
    })))

check('cursors', () =>
  connected(async (client) => {
    await client.query('begin')
    const cursor = client.query(new Cursor('select generate_series(1, $1::int) as n', [1000]))
    assert.deepEqual(await cursor.read(2), [{ n: 1 }, { n: 2 }])
    assert.equal((await cursor.read(500)).length, 500)
    await cursor.close()
    assert.equal(await value(client, 'select 1'), 1)
    await client.query('commit')
    const alone = client.query(new Cursor('select generate_series(1, 10) as n'))
    assert.equal((await alone.read(100)).length, 10)
    await alone.close()
  }))

check('query streams', () =>
  connected(async (client) => {
    let sum = 0
    const stream = client.query(new QueryStream('select generate_series(1, $1::int) as n', [5000], { batchSize: 70 }))
    for await (const row of stream) sum += row.n
    assert.equal(sum, 12502500)
    const left = client.query(new QueryStream('select generate_series(1, 1000000) as n'))
    for await (const row of left) if (row.n === 10) break
    assert.equal(await value(client, 'select 1'), 1, 'after leaving a stream early')
  }))

check('listen and notify', () =>
  connected((listener) =>
    connected(async (sender) => {
      const channel = `${schema}_news`
      const heard = []
      listener.on('notification', (message) => heard.push(message.payload))
      const next = () => once(listener, 'notification', { signal: AbortSignal.timeout(10000) })
      await listener.query(`listen ${channel}`)
      await sender.query('begin')
      await sender.query('select pg_notify($1, $2)', [channel, 'first'])
      await listener.query('select 1')
      assert.deepEqual(heard, [])
      const first = next()
      await sender.query('commit')
      await first
      const second = next()
      await sender.query(`notify ${channel}, 'second'`)
      await second
      assert.deepEqual(heard, ['first', 'second'])
      assert.equal(await value(listener, 'select 1'), 1)
    })))

check('settings', () =>
  connected(
    async (client) => {
      const show = (name) => value(client, 'select current_setting($1, true)', [name])
      assert.deepEqual([await show('application_name'), await show('work_mem')], ['a check', '6MB'])
      await client.query("set work_mem = '7MB'")
      await client.query("select set_config('app.tenant', $1, false)", ['42'])
      for (let n = 0; n < 3; n++) assert.deepEqual([await show('work_mem'), await show('app.tenant')], ['7MB', '42'])
      await client.query('begin')
      await client.query("set local work_mem = '8MB'; set app.tenant = '43'")
      assert.deepEqual([await show('work_mem'), await show('app.tenant')], ['8MB', '43'])
      await client.query('rollback')
      assert.deepEqual([await show('work_mem'), await show('app.tenant')], ['7MB', '42'])
      await client.query('reset work_mem')
      assert.equal(await show('work_mem'), '6MB')
    },
    { application_name: 'a check', options: '-c work_mem=6MB' },
  ))

check('timeouts', () =>
  connected(
    async (client) => {
      await assert.rejects(client.query('select pg_sleep(10)'), { code: '57014' })
      assert.equal(await value(client, 'select 1'), 1)
    },
    { statement_timeout: 100 },
  ))

check('a pool reads what it wrote on any connection', async () => {
  const pool = new pg.Pool({ connectionString: url, max: 8 })
  try {
    await freshTable(pool)
    const work = async (worker) => {
      for (let n = 0; n < 25; n++) {
        const key = worker * 100 + n
        await pool.query(`insert into ${table} values ($1, 'new')`, [key])
        const [first, second] = await Promise.all([1, 2].map(() =>
          pool.query({ name: 'read', text: `select name from ${table} where id = $1`, values: [key] })))
        assert.deepEqual([first.rows, second.rows], [[{ name: 'new' }], [{ name: 'new' }]], `stale read of ${key}`)
        const client = await pool.connect()
        try {
          await client.query('begin')
          await client.query(`update ${table} set name = 'changed' where id = $1`, [key])
          await client.query('commit')
        } finally {
          client.release()
        }
        assert.equal(await value(pool, `select name from ${table} where id = $1`, [key]), 'changed')
      }
    }
    await Promise.all(Array.from({ length: 16 }, (_, worker) => work(worker)))
    assert.equal(await value(pool, `select count(*)::int from ${table}`), 400)
  } finally {
    await pool.end()
  }
})

const limit = (name) => pause(60000, undefined, { ref: false }).then(() => Promise.reject(new Error(`${name}: too slow`)))

await connected(async (client) => {
  await client.query(`create schema ${schema}`)
  try {
    for (const { name, run } of checks) {
      try {
        await Promise.race([run(), limit(name)])
      } catch (error) {
        console.error(`FAILED ${name}:`, error)
        process.exitCode = 1
        break
      }
    }
  } finally {
    await client.query(`drop schema ${schema} cascade`)
  }
})
if (process.exitCode) process.exit()
console.log(`ok ${checks.length} checks`)
