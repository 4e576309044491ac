// etcdctl, command by command, on three members of quorate and on three of etcd: it prints the same on both, but for
// ids, addresses and times.

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startCluster } from '../../src/embed/index.ts'
import { eventually, KV } from '../local/kv.ts'
import { type Etcd, startEtcd } from './etcd.ts'
import { etcdPrograms } from './etcd-programs.ts'
import { finish, scratchDirectory } from './suites.ts'

const { etcdctl: ETCDCTL, release } = await etcdPrograms()
/** Limits of time only end what has failed. */
const TIMEOUTS = { ETCDCTL_DIAL_TIMEOUT: '60s', ETCDCTL_COMMAND_TIMEOUT: '60s' }
/** 3.6 knows one API only, and warns of the variable. */
const ENV = { ...process.env, ...TIMEOUTS, ...(release === '3.4' && { ETCDCTL_API: '3' }) }

let quorate: Awaited<ReturnType<typeof startCluster>>
let etcd: Etcd
beforeAll(async () => {
  etcd = await startEtcd(3)
  quorate = await startCluster({ nodes: 3 })
  for (const each of [etcd, quorate])
    await eventually(async () => (await etcdctl(hostsOf(each), 'get', 'none')).code === 0)
})
afterAll(async () => {
  await quorate?.close()
  await etcd?.[Symbol.asyncDispose]()
})

const hostsOf = ({ endpoints }: { readonly endpoints: readonly string[] }): readonly string[] =>
  endpoints.map((url) => new URL(url).host)
const argsFor = (hosts: readonly string[], args: readonly string[]): readonly string[] => [
  `--endpoints=${hosts.join()}`,
  ...args,
]

const etcdctl = (hosts: readonly string[], ...args: string[]) =>
  finish(ETCDCTL, argsFor(hosts, args), { env: ENV })

/** A command of a conversation: its arguments, and what it reads. */
type Line = string | { readonly line: string; readonly input: string }

/** The commands, with what each printed. Ids, addresses, revisions and times are those of each cluster. */
async function converse(host: string, lines: readonly Line[]): Promise<readonly string[]> {
  const names = new Map<string, string>()
  const printed: string[] = []
  for (const each of lines) {
    const { line, input } = typeof each === 'string' ? { line: each, input: undefined } : each
    // `$1` is the first id that was printed.
    const words = line
      .split(' ')
      .map((word) => word.replace(/\$(\d+)/, (_, at) => [...names.keys()][at - 1] ?? ''))
    const { code, output } = await finish(ETCDCTL, argsFor([host], words), {
      env: ENV,
      ...(input === undefined ? {} : { input }),
    })
    printed.push(`${line}\n${withoutIds(output, names)}exit code ${code}`)
  }
  return printed
}

function withoutIds(output: string, names: Map<string, string>): string {
  const nameId = (id: string): string => {
    if (!names.has(id)) names.set(id, `ID${names.size + 1}`)
    return names.get(id) ?? ''
  }
  return output
    .replaceAll(/\b[0-9a-f]{15,16}\b|\b\d{17,20}\b/g, nameId)
    .replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')
    .replaceAll(/"raft_term":\d+|"RaftTerm" : \d+/gi, 'TERM')
    .replaceAll(/took( =)? [0-9.]+[µm]?s/g, 'took TIME')
    .replaceAll(/\{"level":"warn".*\n/g, '')
}

const CONVERSATIONS: Readonly<Record<string, readonly Line[]>> = {
  'put, get, del': [
    'put foo bar',
    'put foo baz --prev-kv',
    'put food 1',
    'put fool 2',
    'get foo',
    'get foo --print-value-only',
    'get foo -w fields',
    'get foo -w json',
    'get foo --hex',
    'get fo --prefix',
    'get fo --prefix --keys-only',
    'get fo --prefix --limit 2',
    'get fo --prefix --order DESCEND --sort-by VALUE',
    'get food fool',
    'get food --from-key --limit 3',
    'get foo --consistency s',
    'get foo --rev 999999',
    'put foo --ignore-value',
    'put none --ignore-value',
    'put foo new --ignore-lease',
    { line: 'put piped', input: 'from a pipe' },
    'get piped',
    'del food --prev-kv',
    'del fo --prefix',
    'del fo --prefix',
    'get fo --prefix',
    'put',
  ],
  txn: [
    'put t1 yes',
    { line: 'txn', input: 'value("t1") = "yes"\n\nput t2 1\nget t1\n\nget t2\n\n' },
    { line: 'txn', input: 'mod("t2") > "0"\nversion("none") = "0"\n\ndel t2\n\n\n' },
    { line: 'txn', input: 'create("t1") = "0"\n\nget t1\n\nput t3 failed\nget t1 --prefix\n\n' },
    { line: 'txn -w json', input: 'value("t1") > "a"\n\nget t1\n\n\n' },
    { line: 'txn', input: '\nput t1 a\nput t1 b\n\n\n' },
    'del t --prefix',
  ],
  lease: [
    'lease grant 100',
    'put leased 1 --lease=$1',
    'lease timetolive $1',
    'lease timetolive $1 --keys',
    'lease list',
    'lease keep-alive --once $1',
    'lease revoke $1',
    'lease revoke $1',
    'lease timetolive $1',
    'lease keep-alive --once $1',
    'get leased',
    'put leased 1 --lease=123',
    'lease grant 9999999999',
    'lease grant no',
  ],
  'users, roles and rights': [
    'user add root:secret',
    'role add reader',
    'role add reader',
    'role grant-permission reader read auth/r',
    'role grant-permission reader readwrite auth/rw auth/rx',
    'role grant-permission reader write auth/p/ --prefix=true',
    'role grant-permission reader read auth/z --from-key=true',
    'role get reader',
    'role list',
    'user add alice:secret',
    'user add alice:secret',
    'user grant-role alice reader',
    'user grant-role alice none',
    'user get alice',
    'user get alice --detail',
    'user get none',
    'user grant-role root root',
    'auth enable',
    'get auth/r',
    '--user root:secret put auth/r 1',
    '--user alice:secret get auth/r',
    '--user alice:secret put auth/r 2',
    '--user alice:secret put auth/rw 2',
    '--user alice:secret put auth/p/1 2',
    '--user alice:secret get auth/p/1',
    '--user alice:secret get auth/zz',
    '--user alice:wrong get auth/r',
    '--user alice:secret user list',
    '--user root:secret user list',
    '--user root:secret user revoke-role alice reader',
    '--user alice:secret get auth/r',
    '--user root:secret role revoke-permission reader auth/r',
    '--user root:secret role delete reader',
    '--user root:secret user delete alice',
    '--user root:secret del auth/ --prefix',
    '--user root:secret auth disable',
    'user delete root',
    'get auth/ --prefix',
  ],
  'alarms and defragmentation': ['alarm list', 'alarm disarm', 'defrag', 'member remove 123'],
  lock: ['lock deploy echo held', 'lock deploy -- false', 'lock deploy --ttl 5 echo again'],
}

describe('prints what it prints on etcd', () => {
  test.each(Object.entries(CONVERSATIONS))('%s', async (_, lines) => {
    const [ours, theirs] = await Promise.all([
      converse(hostsOf(quorate)[0] ?? '', lines),
      converse(hostsOf(etcd)[0] ?? '', lines),
    ])
    expect(ours).toEqual(theirs)
  })

  test('compaction', async () => {
    const compact = async (hosts: readonly string[]) => {
      for (const value of ['1', '2', '3']) await etcdctl(hosts, 'put', 'compacted', value)
      const { output } = await etcdctl(hosts, 'get', 'compacted', '-w', 'json')
      const { revision } = (JSON.parse(output) as { header: { revision: number } }).header
      const commands = [
        ['compaction', String(revision - 1)],
        ['compaction', String(revision - 1)],
        ['compaction', String(revision + 100)],
        ['compaction', String(revision), '--physical'],
        ['get', 'compacted', '--rev', String(revision - 1)],
        ['get', 'compacted', '--rev', String(revision)],
        ['del', 'compacted'],
      ]
      const printed: string[] = []
      for (const args of commands) {
        const { code, output: text } = await etcdctl(hosts, ...args)
        printed.push(
          text
            .replaceAll(/\{"level":"warn".*\n/g, '')
            .replaceAll(/\b\d+\b/g, (number) => `R${Number(number) - revision}`),
          `${code}`,
        )
      }
      return printed
    }
    expect(await compact(hostsOf(quorate))).toEqual(await compact(hostsOf(etcd)))
  })

  test.each([
    ...['endpoint health', 'endpoint status', 'endpoint hashkv', 'member list'],
    ...['endpoint health --cluster', 'endpoint status --cluster', 'endpoint hashkv --cluster'],
  ])('%s', async (line) => {
    // Sizes, versions and indexes are of each store.
    const shape = async (hosts: readonly string[]) => {
      const { code, output } = await etcdctl(hosts, ...line.split(' '))
      const text = withoutIds(output, new Map())
      return `${text
        // Peers of quorate do not speak HTTP.
        .replaceAll('tcp:', 'http:')
        .replaceAll(/\b\d+(\.\d+)*( [kM]?B)?\b/g, 'N')
        .replaceAll(/ID\d+/g, 'ID')
        .replaceAll(/n\d\b|e\d\b/g, 'NAME')
        .replaceAll(/, (true|false)/g, ', BOOL')}${code}`
    }
    const linesOf = async (hosts: readonly string[]) => (await shape(hosts)).split('\n').toSorted()
    expect(await linesOf(hostsOf(quorate))).toEqual(await linesOf(hostsOf(etcd)))
  })
})

/** A command that runs until the test ends it. */
function runOn(hosts: readonly string[], args: readonly string[]) {
  const child = spawn(ETCDCTL, argsFor(hosts, args), { env: ENV, stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let printed = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      printed += chunk
    })
  return { printed: (): string => printed, child }
}

const ended = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve) => {
    child.once('exit', resolve)
  })

test('watch', async () => {
  const watched = async (hosts: readonly string[]): Promise<readonly string[]> => {
    await etcdctl(hosts, 'put', 'watched', '0')
    const { output } = await etcdctl(hosts, 'get', 'watched', '-w', 'json')
    const { revision } = (JSON.parse(output) as { header: { revision: number } }).header
    const printing = [
      runOn(hosts, ['watch', 'watched', '--rev', String(revision)]),
      runOn(hosts, ['watch', 'watch', '--prefix', '--prev-kv', '--rev', String(revision + 1)]),
    ]
    const command = ['sh', '-c', 'echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY"']
    const executing = runOn(hosts, ['watch', 'watched', '--rev', String(revision), '--', ...command])
    for (const value of ['1', '2']) await etcdctl(hosts, 'put', 'watched', value)
    await etcdctl(hosts, 'put', 'watches', 'another')
    await etcdctl(hosts, 'del', 'watched')
    for (const { printed } of printing) await eventually(() => printed().includes('DELETE'))
    await eventually(() => executing.printed().includes('"DELETE" "watched"'))
    // It runs the command beside the events that follow.
    const lines = executing.printed().split('\n').toSorted()
    return [...printing.map(({ printed }) => printed()), ...lines]
  }
  expect(await watched(hostsOf(quorate))).toEqual(await watched(hostsOf(etcd)))
})

test('lock and elect wait for each other', async () => {
  for (const hosts of [hostsOf(quorate), hostsOf(etcd)]) {
    const first = runOn(hosts, ['lock', 'turns'])
    await eventually(() => first.printed().startsWith('turns/'))
    const second = runOn(hosts, ['lock', 'turns', 'echo', 'mine'])
    await etcdctl(hosts, 'get', 'none')
    expect(second.printed()).toBe('')
    first.child.kill('SIGINT')
    await eventually(() => second.printed() === 'mine\n')

    const observer = runOn(hosts, ['elect', '--listen', 'election'])
    const leader = runOn(hosts, ['elect', 'election', 'one'])
    await eventually(() => leader.printed().includes('one'))
    const next = runOn(hosts, ['elect', 'election', 'two'])
    await eventually(() => observer.printed().includes('one'))
    expect(next.printed()).toBe('')
    leader.child.kill('SIGINT')
    await ended(leader.child)
    await eventually(() => next.printed().includes('two') && observer.printed().includes('two'))
    next.child.kill('SIGINT')
    await ended(next.child)
  }
})

test('a store without keys has a status', async () => {
  await using empty = await startCluster({ nodes: 1 })
  const { code } = await etcdctl(hostsOf(empty), 'endpoint', 'status')
  expect(code).toBe(0)
})

test('move-leader transfers the lead to the member that is named', async () => {
  const { output } = await etcdctl(hostsOf(quorate), 'endpoint', 'status', '-w', 'json')
  const status = JSON.parse(output.replaceAll(/^\{"level":"warn".*\n/gm, '')) as readonly {
    readonly Endpoint: string
    readonly Status: { readonly header: { readonly member_id: number }; readonly leader: number }
  }[]
  // Their ids are beyond the numbers of JSON.parse: the table has them in hexadecimal.
  const { output: table } = await etcdctl(hostsOf(quorate), 'endpoint', 'status')
  const simple = table.split('\n').filter((line) => line.includes(', ') && !line.startsWith('{'))
  expect(simple, table).toHaveLength(status.length)
  // Releases have other columns before it: the first of the two that are true or false.
  const findBy = (isLeader: 'true' | 'false') =>
    simple
      .map((line) => line.split(', '))
      .find((words) => words.find((word) => /^(true|false)$/.test(word)) === isLeader) ?? []
  const [leader, follower] = [findBy('true'), findBy('false')]
  const moved = await etcdctl([leader[0] ?? ''], 'move-leader', follower[1] ?? '')
  expect(moved.output).toBe(`Leadership transferred from ${leader[1]} to ${follower[1]}\n`)
  // It needs the leader, and looks for it among all.
  const [theirs, ours] = await Promise.all(
    [etcd, quorate].map((each) => converse(hostsOf(each).join(), ['move-leader 123'])),
  )
  expect(ours).toEqual(theirs)
})

test('a range of some MiB arrives', async () => {
  const hosts = hostsOf(quorate)
  const value = 'v'.repeat(900_000)
  for (const at of [1, 2, 3, 4])
    await finish(ETCDCTL, argsFor(hosts, ['put', `large/${at}`]), { env: ENV, input: value })
  const { code, output } = await etcdctl(hosts, 'get', 'large/', '--prefix', '--print-value-only')
  expect([code, output.length]).toEqual([0, 4 * (value.length + 1)])
  await etcdctl(hosts, 'del', 'large/', '--prefix')
})

test('snapshot save writes a backup of quorate', async () => {
  await etcdctl(hostsOf(quorate), 'put', 'saved', '1')
  const file = join(scratchDirectory('etcdctl'), 'snapshot')
  const { code, output } = await etcdctl(hostsOf(quorate).slice(0, 1), 'snapshot', 'save', file)
  expect(output.split('\n')).toContain(`Snapshot saved at ${file}`)
  expect(code).toBe(0)
  const shown = await finish(process.execPath, [KV, 'backup', 'show', file])
  expect(shown).toEqual({ code: 0, output: expect.stringContaining('revision') })
})

test.each([
  ['quorate', 'etcd'],
  ['etcd', 'quorate'],
] as const)('make-mirror from %s to %s', async (from, to) => {
  const clusters = { quorate: hostsOf(quorate), etcd: hostsOf(etcd) }
  const [source, target] = [clusters[from], clusters[to]]
  await etcdctl(source, 'put', 'mirror/before', '1')
  runOn(source, ['make-mirror', target[0] ?? '', '--prefix', 'mirror/', '--dest-prefix', `from-${from}/`])
  const read = async () => (await etcdctl(target, 'get', `from-${from}/`, '--prefix')).output
  await eventually(async () => (await read()) === `from-${from}/before\n1\n`)
  await etcdctl(source, 'put', 'mirror/after', '2')
  await etcdctl(source, 'del', 'mirror/before')
  await eventually(async () => (await read()) === `from-${from}/after\n2\n`)
})

// A busy machine is too slow for its limits. But each write succeeds.
test('check perf', async () => {
  const { output } = await etcdctl(hostsOf(quorate), 'check', 'perf', '--load', 's')
  const result = output.split('\n').filter((line) => /^(PASS:|FAIL:|Slowest|Stddev)/.test(line))
  console.log(`etcdctl check perf: ${result.join('; ')}`)
  expect(output).toMatch(/Throughput (is|too low:) \d+ writes\/s/)
  expect(output).not.toContain('too many errors')
})
