// Notes in node-postgres, through Tidegate: each is written, then read at once on another connection.
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const ROUNDS = 20
// How long to wait for replicas to be up to date, in milliseconds.
const PATIENCE = 20_000

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })

/** Runs `use` with a connection of the pool. */
async function connected(use) {
  const client = await pool.connect()
  try {
    return await use(client)
  } finally {
    client.release()
  }
}

/** Where the last statement of this connection went, and why. */
async function route(client) {
  try {
    const { rows } = await client.query('SHOW tidegate.last_route')
    return Object.values(rows[0])[0]
  } catch (error) {
    if (error.code === '42704') return 'to: PostgreSQL itself, no Tidegate here'
    throw error
  }
}

/** `replica` or `primary`, out of `to: replica pg2:5432, reason fresh`. */
const role = (said) => said.split(' ')[1]

/** Whether the note is there, and where that was read. A statement with a name is prepared once for each connection. */
async function find(client, text) {
  const found = await client.query({
    name: 'find-note',
    text: 'SELECT id FROM note WHERE text = $1',
    values: [text],
  })
  return { found: found.rowCount > 0, said: await route(client) }
}

/** The same, in a transaction that only reads. */
async function inReadOnlyTransaction(client, text) {
  await client.query('BEGIN READ ONLY')
  try {
    return await find(client, text)
  } finally {
    await client.query('COMMIT')
  }
}

/** Writes notes on one connection and reads each at once on another one. */
async function writeAndRead(writer, reader) {
  const at = { primary: 0, replica: 0, PostgreSQL: 0 }
  let stale = 0
  let text
  for (let number = 0; number < ROUNDS; number++) {
    text = `${process.pid}-${number}`
    await writer.query('INSERT INTO note (text) VALUES ($1)', [text])
    const { found, said } = await find(reader, text)
    stale += found ? 0 : 1
    at[role(said)]++
  }
  return { stale, at, text }
}

/** Reads until replicas have answered often enough. */
async function readLater(reader, text) {
  const at = { primary: 0, replica: 0, PostgreSQL: 0 }
  const deadline = Date.now() + PATIENCE
  let said
  while (at.replica < ROUNDS && at.PostgreSQL < ROUNDS && Date.now() < deadline) {
    said = (await find(reader, text)).said
    at[role(said)]++
    await pause(10)
  }
  return { at, said }
}

await pool.query('CREATE TABLE IF NOT EXISTS note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)')
const { stale, at, text } = await connected((writer) => connected((reader) => writeAndRead(writer, reader)))
const later = await connected((reader) => readLater(reader, text))
const readOnly = await connected((reader) => inReadOnlyTransaction(reader, text))
await pool.end()

console.log(`${ROUNDS} notes, each read at once on another connection: ${stale} not seen`)
console.log(`those reads: primary ${at.primary}, replica ${at.replica}`)
console.log(`reads while nobody writes: primary ${later.at.primary}, replica ${later.at.replica}`)
console.log(`the last of them: ${later.said}`)
console.log(`a READ ONLY transaction: ${readOnly.said}`)
process.exitCode = stale > 0 ? 1 : 0
