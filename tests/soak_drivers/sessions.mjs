// Random sessions of node-postgres against the server at DATABASE_URL, as in sessions.py.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import pg from 'pg'
import Cursor from 'pg-cursor'

const { DATABASE_URL: url, SOAK_SEED: seed } = process.env
const until = Date.now() + Number(process.env.SOAK_SECONDS) * 1000
const counts = { sessions: 0, operations: 0, errors: 0 }

/** Random numbers that are the same for the same text (xmur3 and mulberry32). */
function dice(text) {
  let h = 1779033703 ^ text.length
  for (const c of text) h = Math.imul(h ^ c.charCodeAt(0), 3432918353), (h = (h << 13) | (h >>> 19))
  const random = () => {
    h = (h + 0x6d2b79f5) | 0
    let t = Math.imul(h ^ (h >>> 15), 1 | h)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  return { random, below: (n) => Math.floor(random() * n), name: () => Math.floor(random() * 2 ** 40).toString(16) }
}

const rows = async (s, text, values) => (await s.client.query({ text, values, rowMode: 'array' })).rows
const fails = (s, code, text) => assert.rejects(s.client.query(text), { code })

async function write(s, values) {
  const [key, value] = [s.dice.below(6), s.dice.below(1e6)]
  const text = `insert into soak values ($1, $2, $3) on conflict (owner, id) do update set value = excluded.value`
  await s.client.query({ name: s.prepared ? `write_${s.owner}` : undefined, text, values: [s.owner, key, value] })
  values.set(key, value)
}

async function checkRows(s, values) {
  const found = await rows(s, 'select id, value from soak where owner = $1 order by id', [s.owner])
  assert.deepEqual(found, [...values].sort((a, b) => a[0] - b[0]))
}

const operations = {
  async read(s) {
    for (const [key, value] of s.values) {
      const query = { text: 'select value from soak where owner = $1 and id = $2', values: [s.owner, key], rowMode: 'array' }
      if (s.prepared) query.name = `read_${s.dice.name()}`
      assert.deepEqual((await s.client.query(query)).rows, [[value]])
      return
    }
  },
  async write(s) {
    await write(s, s.values)
    await checkRows(s, s.values)
  },
  async transaction(s) {
    const values = new Map(s.values)
    await s.client.query('begin')
    await write(s, values)
    await checkRows(s, values)
    if (s.dice.random() < 0.3) {
      await fails(s, '22012', 'select 1 / 0')
      await fails(s, '25P02', 'select 1')
    }
    const commits = s.dice.random() < 0.6
    const { command } = await s.client.query(commits ? 'commit' : 'rollback')
    if (command === 'COMMIT') s.values = values
    await checkRows(s, s.values)
  },
  async error(s) {
    await fails(s, '42P01', 'select * from no_such_table')
  },
  async queued(s) {
    const sent = Array.from({ length: 1 + s.dice.below(8) }, () => s.dice.below(1000))
    const got = await Promise.all(sent.map((n) => rows(s, 'select $1::int + 1', [n])))
    assert.deepEqual(got, sent.map((n) => [[n + 1]]))
  },
  async cursor(s) {
    await s.client.query('begin')
    const cursor = s.client.query(new Cursor('select n from generate_series(1, $1::int) n', [500]))
    assert.equal((await cursor.read(100)).length, 100)
    assert.equal((await cursor.read(100))[0].n, 101)
    await cursor.close()
    await s.client.query('commit')
  },
  async temporary(s) {
    const name = `temporary_${s.dice.name()}`
    await s.client.query(`create temp table ${name} (n int)`)
    await s.client.query(`insert into ${name} values ($1)`, [7])
    assert.deepEqual(await rows(s, `select n from ${name}`), [[7]])
    if (s.dice.random() < 0.7) await s.client.query(`drop table ${name}`)
  },
  async lock(s) {
    const key = s.dice.below(2 ** 40)
    assert.deepEqual(await rows(s, 'select pg_try_advisory_lock($1)', [key]), [[true]])
    if (s.dice.random() < 0.6) assert.deepEqual(await rows(s, 'select pg_advisory_unlock($1)', [key]), [[true]])
  },
  async notify(s) {
    const channel = `channel_${s.dice.name()}`
    await s.client.query(`listen ${channel}`)
    const heard = once(s.client, 'notification')
    await s.client.query(`notify ${channel}, 'x'`)
    assert.equal((await heard)[0].channel, channel)
    await s.client.query('unlisten *')
  },
  async setting(s) {
    const value = `t${s.dice.below(99)}`
    await s.client.query(`set app.tenant = '${value}'`)
    assert.deepEqual(await rows(s, "select current_setting('app.tenant')"), [[value]])
    if (s.dice.random() < 0.5) await s.client.query('reset app.tenant')
  },
}

async function leave(s) {
  const way = s.dice.below(5)
  if (way >= 3) {
    await s.client.query('begin')
    await write(s, new Map())
  }
  if (way === 1 || way === 4) {
    const query = s.client.query("select repeat('x', 100), generate_series(1, 300000)").catch(() => {})
    await new Promise((done) => setTimeout(done, s.dice.below(100)))
    s.client.connection.stream.destroy()
    return query
  }
  if (way === 0) return s.client.end()
  s.client.connection.stream.destroy()
}

async function connect() {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}

const names = Object.keys(operations)
const choices = [...names, 'read', 'read', 'read', 'read', 'write', 'write', 'transaction', 'queued']

async function client(number) {
  for (let turn = 1; Date.now() < until; turn++) {
    const s = { dice: dice(`${seed} ${number} ${turn}`), values: new Map(), owner: `node_${seed}_${number}_${turn}` }
    const log = []
    try {
      s.client = await connect()
      s.prepared = s.dice.random() < 0.5
      for (let left = 1 + s.dice.below(30); left > 0; left--) {
        const name = choices[s.dice.below(choices.length)]
        log.push(name)
        await operations[name](s)
        counts.operations++
      }
      log.push('leave')
      await leave(s)
      s.client = await connect()
      await checkRows(s, s.values)
      await s.client.end()
      counts.sessions++
    } catch (error) {
      console.log(`seed ${seed}, client ${number}, session ${turn}: ${log.join(' ')}\n${error.stack}`)
      if (++counts.errors > 20) return
    }
  }
}

await Promise.all(Array.from({ length: Number(process.env.SOAK_SESSIONS) }, (_, number) => client(number)))
console.log(`node-postgres: ${counts.sessions} sessions, ${counts.operations} operations, ${counts.errors} errors`)
process.exit(counts.errors ? 1 : 0)
