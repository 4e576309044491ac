// What many keys cost: memory of a node, restart, and a follower that was away while all of them were written.
// bench/README.md says more.

import { readFileSync } from 'node:fs'
import { flagsOf } from './flags.ts'
import { getJson, HttpConnection } from './http-connection.ts'
import { type BenchCluster, clusterStatus, kvCluster } from './local-cluster.ts'

const flags = flagsOf({
  data: { type: 'string', default: '.kv/cluster' },
  keys: { type: 'string', default: '1000000' },
  'value-bytes': { type: 'string', default: '256' },
  connections: { type: 'string', default: '64' },
  output: { type: 'string', short: 'o', default: 'table' },
})

const KEY_DIGITS = 10
const POLL_MS = 20

interface NodeState {
  readonly term: number
  readonly leader: string | null
  readonly applied_index: number
  readonly revision: number
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const stateOf = async (url: string): Promise<NodeState> => (await getJson(url, '/v1/status')) as NodeState

/**
 * Writes the keys that `next` gives, until it gives none, over many connections; resolves when all are acknowledged.
 */
async function writeKeys(url: string, next: () => number | undefined): Promise<void> {
  const value = Buffer.alloc(Number(flags['value-bytes']), 'quorate ')
  await Promise.all(
    Array.from({ length: Number(flags.connections) }, () => {
      return new Promise<void>((resolve, reject) => {
        const connection = new HttpConnection(url, (why) => reject(new Error(`${url}: ${why}`)))
        const { bytes, keyAt } = connection.putRequest(`many-${'0'.repeat(KEY_DIGITS)}`, value)
        const write = (): void => {
          const key = next()
          if (key === undefined) {
            connection.close()
            resolve()
            return
          }
          bytes.write(String(key).padStart(KEY_DIGITS, '0'), keyAt + 'many-'.length, 'latin1')
          connection.ask(bytes, (status) =>
            status === 200 ? write() : reject(new Error(`status ${status}`)),
          )
        }
        write()
      })
    }),
  )
}

/** Anonymous memory (what the process itself holds) and all resident memory (with LevelDB's mapped tables), in MB. */
function memoryMb(pid: number): { readonly rss_anon_mb: number; readonly vm_rss_mb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const mb = (field: string): number => {
    const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]
    return Math.round((Number(kib) * 1024) / 1e5) / 10
  }
  return { rss_anon_mb: mb('RssAnon'), vm_rss_mb: mb('VmRSS') }
}

const memories = (cluster: BenchCluster): object =>
  Object.fromEntries(cluster.nodes.flatMap(({ name, pid }) => (pid === null ? [] : [[name, memoryMb(pid)]])))

/** From the command until the node gives its first stale read of a key that it must hold. */
async function restartToFirstRead(name: string, url: string): Promise<number> {
  await kvCluster(flags.data, 'kill', name)
  const begun = performance.now()
  const restarted = kvCluster(flags.data, 'restart', name)
  const target = `/v1/kv/many-${'1'.padStart(KEY_DIGITS, '0')}?consistency=stale`
  for (;;) {
    const answered = await new Promise<boolean>((resolve) => {
      const connection = new HttpConnection(url, () => resolve(false))
      connection.ask(connection.getRequest(target), (status) => {
        connection.close()
        resolve(status === 200)
      })
    })
    if (answered) break
    await pause(2)
  }
  const ms = performance.now() - begun
  await restarted
  return Math.round(ms)
}

/**
 * The follower comes back while writes go on; resolves when it has applied what was written before its return, and says
 * how.
 */
async function catchUp(name: string, url: string, leaderUrl: string, from: number): Promise<object> {
  const before = await stateOf(leaderUrl)
  const begun = performance.now()
  let writing = true
  let written = 0
  const load = writeKeys(leaderUrl, () => (writing ? from + written++ : undefined))
  await kvCluster(flags.data, 'restart', name)
  while ((await stateOf(url)).applied_index < before.applied_index) await pause(POLL_MS)
  const seconds = (performance.now() - begun) / 1000
  writing = false
  await load
  const after = await stateOf(leaderUrl)
  while ((await stateOf(url)).applied_index < after.applied_index) await pause(POLL_MS)
  return {
    seconds: Math.round(seconds * 10) / 10,
    writes_meanwhile: written,
    elections: after.term - before.term,
  }
}

async function measure(): Promise<object> {
  const { leader, nodes } = await clusterStatus(flags.data)
  const [away, other] = nodes.filter(({ name }) => name !== leader)
  const leading = nodes.find(({ name }) => name === leader)
  if (leading === undefined || away === undefined || other === undefined)
    throw new Error('three running nodes are needed')
  await kvCluster(flags.data, 'kill', away.name)
  const begun = performance.now()
  let next = 0
  await writeKeys(leading.url, () => (next < Number(flags.keys) ? next++ : undefined))
  const seconds = (performance.now() - begun) / 1000
  const loaded = memories(await clusterStatus(flags.data))
  const caughtUp = await catchUp(away.name, away.url, leading.url, Number(flags.keys))
  const restartMs = await restartToFirstRead(other.name, other.url)
  return {
    keys: Number(flags.keys),
    value_bytes: Number(flags['value-bytes']),
    seconds: Math.round(seconds),
    writes_per_second: Math.round(Number(flags.keys) / seconds),
    memory_after_writing: loaded,
    follower_away_for_all_of_it: { name: away.name, ...caughtUp },
    restart_to_first_stale_read_ms: { name: other.name, ms: restartMs },
    memory_at_the_end: memories(await clusterStatus(flags.data)),
  }
}

try {
  const report = await measure()
  console.log(JSON.stringify(report, undefined, flags.output === 'json' ? undefined : 2))
  process.exit(0)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
