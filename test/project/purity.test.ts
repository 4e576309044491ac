// Dependencies between the folders of src/ point one way, and only `kv simulate` leads to jepsen-lite/. So do those
// between the parts of a large folder. src/bytes, src/raft and src/kv are pure: they use no module of Node, no clock,
// no randomness and no promise. So the simulator and the page of the lab run them as they are. So are the links
// between replicas, which the simulator runs. The test reads the syntax tree: comments and strings do not count.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { parseAst } from 'vitest/node'

/** Every operation is described once, for all who execute or send it. */
const OPERATIONS = [
  'operations',
  ...['documents', 'forms', 'http', 'mux'].map((folder) => `operations/${folder}`),
]

const PURE = ['bytes', ...OPERATIONS, 'etcd', 'raft', 'kv', 'server/peers']

/** They import nothing of Node's themselves: the page of the lab runs them. */
const TESTER_WITHOUT_NODE = ['workload', 'checker', 'sim', 'lab'].map((folder) => `jepsen-lite/${folder}`)

/** It imports the module that a user names. */
const LOADING_USERS_FILE = 'jepsen-lite/testing/scenario.ts'

const TESTER_ROOMS = [...TESTER_WITHOUT_NODE, 'jepsen-lite/history', 'jepsen-lite/testing']

/** For all who run nodes. */
const SERVERS = ['server', 'server/start', 'server/replica', 'server/node']

/**
 * The folders, or single files, that each folder may import besides itself. src/index.ts may import all of
 * them, and nobody imports it. Storage keeps what the core hands it, so it knows the core's types and the
 * layout of an entry, and nothing else of it.
 */
const MAY_IMPORT = new Map([
  ['bytes', []],
  ['files', []],
  ['certificates', ['files']],
  // Helpers for clients and nodes alike, around the operating system and Node.
  ['system', []],
  // The files of the console, for all who serve them.
  ['console', []],
  ['raft', ['bytes']],
  // The messages of etcd's API, for the server and the driver.
  ['etcd', ['bytes']],
  // A client of the same API: the driver for a real etcd.
  ['etcd-client', [...OPERATIONS, 'client', 'etcd', 'system', 'tracing']],
  ['operations', ['bytes', ...OPERATIONS]],
  // The forms that all wires share depend on no wire.
  ['operations/forms', ['bytes']],
  // Their fields, and schemas that requests have too.
  [
    'operations/documents',
    [
      'operations/forms',
      ...['json-schema', 'members', 'roles', 'schemas'].map((name) => `operations/http/${name}.ts`),
    ],
  ],
  ['operations/http', ['bytes', 'operations/forms', 'operations/definition.ts']],
  ['operations/mux', ['bytes', 'operations/forms']],
  ['kv', ['bytes', 'operations', 'operations/forms']],
  ['storage', ['bytes', 'files', 'system', 'raft/types.ts', 'raft/entry.ts']],
  // Spans of clients and nodes, through OpenTelemetry's API.
  ['tracing', []],
  // Files of backups, and nodes that are made from them.
  [
    'backup',
    [...[...OPERATIONS, 'bytes', 'files', 'kv', 'raft', 'storage', 'system'], 'server/auth/auth-keys.ts'],
  ],
  // The options of a node, and the interface of a running one.
  ['server', ['raft/timing.ts', 'server/listener/limits.ts']],
  // The start of a node joins its parts. The parts themselves point one way: listener → http | mux → connections →
  // clients → api → node ← peers ← tcp, and clients → tls ← tcp.
  [
    'server/start',
    [
      ...OPERATIONS,
      ...['files', 'storage', 'backup', 'kv', 'raft', 'system', 'certificates/handshake-faults.ts'],
      ...['server/node', 'server/peers', 'server/peers/tcp', 'server/api', 'server/audit'],
      ...['server/clients/guard.ts', 'server/listener', 'server/tls', 'server/options.ts'],
    ],
  ],
  // The data of a node that does not run.
  [
    'server/replica',
    [...['files', 'storage', 'backup', 'kv', 'raft', 'server/auth', 'server/node', 'server/options.ts']],
  ],
  [
    'server/node',
    [...OPERATIONS, 'bytes', 'storage', 'kv', 'raft', 'system', 'tracing', 'server/options.ts'],
  ],
  [
    'server/peers',
    [
      ...['raft/types.ts', 'storage/types.ts', 'server/by-network.ts', 'server/options.ts'],
      ...['server/node/clock.ts', 'server/node/network.ts'],
    ],
  ],
  [
    'server/peers/tcp',
    [
      ...OPERATIONS,
      ...['bytes', 'kv', 'raft', 'storage', 'server/node', 'server/peers', 'server/tls', 'system'],
      'server/options.ts',
      'certificates/handshake-faults.ts',
    ],
  ],
  [
    'server/api',
    [...[...OPERATIONS, 'bytes', 'kv', 'raft', 'storage', 'backup', 'system', 'server/node'], 'server/auth'],
  ],
  ['server/auth', ['kv', 'system', 'server/by-network.ts']],
  ['server/audit', []],
  // The client port, which hands a connection to a protocol.
  [
    'server/listener',
    [
      ...[...OPERATIONS, 'system', 'server/by-network.ts', 'server/node', 'server/api', 'server/tls'],
      ...['server/clients', 'server/connections', 'server/http', 'server/mux', 'server/etcd'],
      'server/options.ts',
    ],
  ],
  // The protocols do not know each other.
  [
    'server/http',
    [
      ...[...OPERATIONS, 'kv', 'raft', 'system', 'tracing', 'console'],
      ...['server/node', 'server/api', 'server/clients', 'server/connections'],
    ],
  ],
  [
    'server/mux',
    [...OPERATIONS, 'kv', 'tracing', 'server/node', 'server/api', 'server/clients', 'server/connections'],
  ],
  [
    'server/etcd',
    [
      ...[...OPERATIONS, 'bytes', 'etcd', 'tracing', 'server/node', 'server/api'],
      ...['server/clients', 'server/connections'],
    ],
  ],
  [
    'server/clients',
    [...OPERATIONS, 'system', 'server/by-network.ts', 'server/node', 'server/api', 'server/tls'],
  ],
  ['server/connections', [...OPERATIONS, 'system', 'server/node', 'server/api', 'server/clients']],
  // TLS of the listeners, and of connections to peers.
  ['server/tls', ['certificates', 'system', 'server/options.ts', 'server/by-network.ts']],
  // Settings of a process that only runs a node.
  ['server/process', []],
  ['client', [...OPERATIONS, ...['bytes', 'system', 'tracing'], 'certificates/handshake-faults.ts']],
  [
    'local',
    [
      ...['bytes/shell-word.ts', 'bytes/unknown-kind.ts'],
      ...['operations/documents', 'operations/forms/decode.ts', 'operations/forms/problems.ts'],
      ...['operations/http/form.ts', 'certificates', 'files'],
      ...[...SERVERS, 'server/process', 'console', 'system'],
      // The console of a local cluster refuses clients as a node does.
      ...['server/clients/guard.ts', 'server/clients/limits.ts', 'server/api/limits.ts'],
      'server/connections/refusal-page.ts',
    ],
  ],
  [
    'cli',
    [
      ...OPERATIONS,
      ...['bytes/json-text.ts', 'bytes/shell-word.ts'],
      'client',
      'console',
      'etcd-client',
      'certificates',
      'backup',
      'kv',
      'raft',
      'files',
      ...SERVERS,
      'server/process',
      'system',
      'local',
      'recipes',
      // It runs the scenarios of `kv simulate`.
      'jepsen-lite/testing/scenario.ts',
    ],
  ],
  ['embed', ['operations/forms/members.ts', 'client', 'system', ...SERVERS, 'local']],
  ['recipes', ['client']],
  // The kit for other people's tests. Only `kv simulate` imports it.
  [
    'jepsen-lite/testing',
    [
      ...OPERATIONS,
      'system',
      'client',
      'local',
      'embed',
      'jepsen-lite',
      'jepsen-lite/workload',
      'jepsen-lite/history',
      'jepsen-lite/checker',
    ],
  ],
  [
    'jepsen-lite',
    [
      ...OPERATIONS,
      ...['raft', 'kv', 'storage', 'system', 'client', 'console', 'local', 'embed', 'recipes'],
      ...TESTER_WITHOUT_NODE,
      ...[...SERVERS, 'server/peers', 'server/peers/tcp', 'server/api', 'server/http'],
      ...['server/clients', 'server/connections', 'server/listener', 'etcd', 'etcd-client'],
      'jepsen-lite/history',
    ],
  ],
  ['jepsen-lite/workload', []],
  // Histories that recorded clients write.
  ['jepsen-lite/history', ['client', 'jepsen-lite/workload']],
  ['jepsen-lite/checker', ['jepsen-lite/workload']],
  // The engine of the lab, for Node and for its page.
  [
    'jepsen-lite/lab',
    [
      ...['operations/forms', 'raft', 'kv', 'jepsen-lite/sim', 'jepsen-lite/workload', 'jepsen-lite/checker'],
      'jepsen-lite/report/format-operation.ts',
    ],
  ],
  [
    'jepsen-lite/sim',
    [
      ...[...OPERATIONS, 'raft', 'kv', 'storage', 'server/node', 'server/api', 'server/peers'],
      ...['server/options.ts', 'jepsen-lite/workload', 'jepsen-lite/checker'],
    ],
  ],
])

/**
 * The layers of large folders, from the top. A part is a folder inside, or a single file. It imports only parts of
 * lower layers; parts of one layer do not import each other.
 */
const LAYERS = new Map<string, readonly (readonly string[])[]>([
  [
    'src/server/node',
    [
      // The driver joins the parts of a node.
      ['driver.ts'],
      ['kv-node.ts', 'peer-events.ts'],
      ['observe'],
      ['apply', 'leases', 'step-scheduler.ts'],
      ['read', 'upkeep'],
      ['write'],
      ['membership'],
      ['disk-space', 'watch', 'new-raft.ts'],
      ['lifecycle.ts', 'entry-traces.ts', 'driver-options.ts', 'directory-disk.ts', 'system-clock.ts'],
      // The surroundings of a node, as interfaces, and what its parts share.
      ['clock.ts', 'disk.ts', 'network.ts', 'key-index', 'limits.ts', 'node-events.ts', 'result.ts'],
    ],
  ],
  [
    'src/server/etcd',
    [
      // The two wires of the API.
      ['gateway', 'grpc'],
      ['services'],
      ['range-sorted.ts'],
      ['range-body.ts', 'watch', 'candidates.ts'],
      ['auth.ts', 'first-change.ts', 'members.ts', 'range-reading.ts', 'rpc.ts'],
      ['call.ts'],
      ['etcd-api.ts'],
      ['read-turns.ts', 'txn.ts'],
      // HTTP/2 knows nothing of the API.
      [
        'http2',
        'authorization.ts',
        'drain.ts',
        'errors.ts',
        'fields.ts',
        'range-order.ts',
        'status-observers.ts',
      ],
    ],
  ],
  [
    'src/cli',
    [
      ['main.ts'],
      ['program.ts'],
      ['commands'],
      // Jobs that several commands have in common.
      ['auth-change.ts', 'cluster', 'completion', 'exec'],
      ['command-context.ts'],
      ['contexts.ts', 'error-message.ts'],
      ['command-definition.ts', 'delete-in-parts.ts', 'node-log.ts', 'txn'],
      ['flags', 'migrate', 'transfer', 'setup', 'cluster-health.ts'],
      ['terminal'],
      ['format'],
      ['exit-codes.ts', 'help-topics.ts'],
    ],
  ],
  [
    'src/local',
    [
      ['supervisor'],
      ['console'],
      ['cluster'],
      ['node'],
      ['directory', 'relays'],
      ['addresses.ts'],
      [
        ...['child-module.ts', 'failure.ts', 'poll.ts', 'processes.ts', 'program-name.ts'],
        'unidentified-connections.ts',
      ],
    ],
  ],
  ['web/src', [['main.tsx', 'lab'], ['app'], ['pages'], ['route.ts'], ['cluster'], ['design']]],
])

const IMPURE_NAMES = new Set([
  ...['Date', 'performance', 'Promise', 'globalThis', 'process', 'require'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'requestAnimationFrame'],
])

const root = join(import.meta.dirname, '../..')
const sourcesIn = (...tops: string[]) =>
  tops.flatMap((top) =>
    readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.tsx?$/.test(path))
      .map((path) => join(top, path).split(sep).join('/')),
  )
const sources = sourcesIn('src', 'jepsen-lite')

describe('the source', () => {
  test.each([...MAY_IMPORT.keys()])('%s imports only what it may', (folder) => {
    expect(filesOf(folder).flatMap((file) => importOffences(file, read(file)))).toEqual([])
  })

  test.each(PURE)('%s is pure', (folder) => {
    expect(filesOf(folder).flatMap((file) => impurities(file, read(file)))).toEqual([])
  })

  it('has no folder without a rule', () => {
    const folders = [...new Set(sources.map(folderOf))]
    expect(folders.filter((folder) => !MAY_IMPORT.has(folder))).toEqual(['src/index.ts'])
  })

  test.each([...LAYERS.keys()])('%s imports only from the top to the bottom', (folder) => {
    expect(sourcesIn(folder).flatMap((file) => layerOffences(file, read(file)))).toEqual([])
  })

  test.each([...LAYERS])('%s has a layer for each part, and no other', (folder, layers) => {
    const parts = new Set(sourcesIn(folder).map((file) => partOf(folder, file)))
    expect([...parts].sort()).toEqual(layers.flat().sort())
  })

  it('has no circle of imports, types included', () => {
    const all = [...sources, ...sourcesIn('bench', 'web/src')]
    const imports = new Map(all.map((file) => [file, importsOf(file, read(file))]))
    expect(imports.get('src/raft/raft.ts')).toContain('src/raft/log.ts')
    expect(circlesIn(imports)).toEqual([])
  })
})

describe('the check itself', () => {
  test.each([
    ['const now = Date.now()', 'Date'],
    ['export type Done = () => Promise<void>', 'Promise'],
    ['const { performance: clock } = host', 'performance'],
    ['setTimeout(f, 1)', 'setTimeout'],
    ['globalThis["Da" + "te"]', 'globalThis'],
    ['const draw = Math.random()', 'Math'],
    ['const draw = Math["random"]()', 'Math'],
    ['const { random } = Math', 'Math'],
    ['const m = Math', 'Math'],
    ['async function f() {}', 'async'],
    ['const o = { async m() {} }', 'async'],
    ['const f = async () => {}', 'async'],
    ['await x', 'await'],
    ['const f = async () => { for await (const x of y) g(x) }', 'await'],
  ])('calls %s impure', (code, what) => {
    expect(impurities('src/raft/x.ts', `\n${code}`)).toContain(`src/raft/x.ts:2 ${what}`)
  })

  it('finds circles, however long, and only these', () => {
    const lines = ['a b c', 'b d', 'c d', 'd', 'e f', 'f g d', 'g e'].map((line) => line.split(' '))
    expect(circlesIn(new Map(lines.map(([file = '', ...imports]) => [file, imports])))).toEqual([
      'e',
      'f',
      'g',
    ])
  })

  it('reads no comments, strings and look-alikes', () => {
    const code =
      '// Date and Promise\n/* await */ const s = "setTimeout" + `async`; f(Math.max(1, 2), o.updated, /Date/)'
    expect(impurities('src/raft/x.ts', code)).toEqual([])
  })

  test.each([
    ['src/raft/x.ts', 'import fs from "node:fs"'],
    ['src/bytes/x.ts', 'import fs from "node:fs"'],
    ['src/bytes/x.ts', 'import type { Term } from "../raft/types.ts"'],
    ['src/raft/x.ts', 'import { pack } from "msgpackr"'],
    ['src/raft/x.ts', 'import type { Row } from "../kv/row.ts"'],
    ['src/kv/x.ts', 'import type { Term } from "../raft/types.ts"'],
    ['src/kv/deep/x.ts', 'export * from "../../storage/rows.ts"'],
    ['src/raft/x.ts', 'type Stats = import("node:fs").Stats'],
    ['src/raft/x.ts', 'const later = import("./y.ts")'],
    ['src/client/x.ts', 'const later = import(name)'],
    ['src/storage/x.ts', 'export { step } from "../raft/core.ts"'],
    ['src/storage/x.ts', 'import "../server/driver.ts"'],
    ['src/client/x.ts', 'import type { Row } from "../kv/row.ts"'],
    ['src/server/start/x.ts', 'import { main } from "../../cli/main.ts"'],
    ['src/server/start/x.ts', 'import { Client } from "../../client/client.ts"'],
    ['src/local/x.ts', 'import { say } from "../cli/output.ts"'],
    ['src/local/x.ts', 'import { startCluster } from "../embed/index.ts"'],
    ['src/cli/x.ts', 'import { open } from "../storage/open.ts"'],
    ['src/cli/x.ts', 'import { startCluster } from "../index.ts"'],
    ['src/cli/x.ts', 'import { startCluster } from "quorate"'],
    ['src/cli/x.ts', 'import manifest from "../../package.json"'],
    ['src/cli/x.ts', 'import "../../jepsen-lite/workload/history.ts"'],
    ['src/embed/x.ts', 'import { recorded } from "../../jepsen-lite/testing/index.ts"'],
    ['jepsen-lite/testing/x.ts', 'import "../sim/index.ts"'],
    ['jepsen-lite/checker/x.ts', 'import "../sim/clock.ts"'],
    ['jepsen-lite/checker/x.ts', 'import "../../src/kv/types.ts"'],
    ['jepsen-lite/checker/x.ts', 'import fs from "node:fs"'],
    ['jepsen-lite/sim/x.ts', 'import fs from "node:fs"'],
  ])('refuses in %s: %s', (file, code) => {
    expect(importOffences(file, code)).toHaveLength(1)
  })

  test.each([
    ['src/server/node/write/x.ts', 'import { Reads } from "../read/reads.ts"'],
    ['src/server/node/clock.ts', 'import type { Reads } from "./read/reads.ts"'],
    ['src/server/node/disk-space/x.ts', 'import type { Hub } from "../watch/hub.ts"'],
    [
      'web/src/design/x.tsx',
      'import { href } from "../route.ts"; export const Link = () => <a href={href("a")} />',
    ],
    ['web/src/pages/keys/x.ts', 'const app = import("../../app/app.tsx")'],
  ])('refuses upwards or sideways, in %s: %s', (file, code) => {
    expect(layerOffences(file, code)).toHaveLength(1)
  })

  test.each([
    ['src/server/node/read/x.ts', 'import "../write/proposer.ts"; import "./reads.ts"; import "../clock.ts"'],
    ['src/server/node/driver.ts', 'import "./read/reads.ts"; import "../../raft/index.ts"; import "node:fs"'],
    ['web/src/pages/keys/x.tsx', 'import "../live/live.tsx"; import "../../design/button.tsx"'],
    ['src/raft/x.ts', 'import "../server/node/driver.ts"'],
  ])('refuses no other layers, in %s: %s', (file, code) => {
    expect(layerOffences(file, code)).toEqual([])
  })

  test.each([
    ['src/raft/x.ts', 'import type { Term } from "./types.ts"; import { Reader } from "../bytes/index.ts"'],
    ['src/kv/deep/x.ts', 'import { encode } from "../encode.ts"'],
    ['src/storage/x.ts', 'import { Level } from "level"; import { asTerm } from "../raft/types.ts"'],
    ['src/storage/x.ts', 'import type { Term } from "../raft/types.ts"; import "../raft/entry.ts"'],
    [
      'src/server/start/x.ts',
      'import "../../raft/a.ts"; import "../../kv/a.ts"; import "../../storage/a.ts"; import "node:net"',
    ],
    ['jepsen-lite/checker/models/x.ts', 'import "../check.ts"; import "../../workload/history.ts"'],
    ['jepsen-lite/sim/x.ts', 'import "../../src/server/node/driver.ts"'],
    ['jepsen-lite/x.ts', 'import "./sim/index.ts"; import "../src/client/index.ts"; import "node:fs"'],
    ['jepsen-lite/testing/x.ts', 'import "../checker/index.ts"; import "../../src/embed/index.ts"'],
    ['src/cli/x.ts', 'import "../client/index.ts"; const server = () => import("../server/node.ts")'],
  ])('allows in %s: %s', (file, code) => {
    expect(importOffences(file, code)).toEqual([])
  })
})

/** The files of this project that a file imports. */
function importsOf(file: string, code: string): string[] {
  return nodesOf(code, file)
    .map(importedBy)
    .filter((source) => source?.startsWith('.') === true)
    .map((source) => normalize(join(dirname(file), source ?? '')))
}

/** The files on circles, and those between two circles: what is left when leaves and roots are taken away. */
function circlesIn(imports: ReadonlyMap<string, readonly string[]>): string[] {
  let files = new Set(imports.keys())
  for (;;) {
    const imported = new Set([...files].flatMap((file) => imports.get(file) ?? []))
    const left = [...files].filter(
      (file) => imported.has(file) && imports.get(file)?.some((other) => files.has(other)),
    )
    if (left.length === files.size) return left
    files = new Set(left)
  }
}

function importOffences(file: string, code: string): string[] {
  const from = folderOf(file)
  const allowed = [from, ...(MAY_IMPORT.get(from) ?? [])]
  const offences: string[] = []
  for (const node of nodesOf(code)) {
    const source = importedBy(node)
    if (source === undefined) continue
    const fine = source.startsWith('.')
      ? isWithin(normalize(join(dirname(file), source)), allowed)
      : !PURE.includes(from) &&
        !(TESTER_WITHOUT_NODE.includes(from) && source.startsWith('node:')) &&
        (source !== '' || file === LOADING_USERS_FILE) &&
        !/^quorate(\/|$)/.test(source)
    // A dynamic import makes a promise, wherever it leads.
    if (!fine || (PURE.includes(from) && node.type === 'ImportExpression')) {
      offences.push(`${file}:${lineOf(code, node)} imports ${source || 'what only the run will tell'}`)
    }
  }
  return offences
}

function layerOffences(file: string, code: string): string[] {
  const [folder, layers] = [...LAYERS].find(([name]) => file.startsWith(`${name}/`)) ?? ['', []]
  const layerOf = (part: string): number => layers.findIndex((parts) => parts.includes(part))
  const from = partOf(folder, file)
  return importsOf(file, code)
    .filter((source) => source.startsWith(`${folder}/`))
    .map((source) => partOf(folder, source))
    .filter((part) => part !== from && layerOf(part) <= layerOf(from))
    .map((part) => `${file} imports ${part}`)
}

/** 'read' of src/server/node/read/reads.ts, 'clock.ts' of src/server/node/clock.ts. */
const partOf = (folder: string, file: string): string => file.slice(folder.length + 1).split('/')[0] ?? ''

function impurities(file: string, code: string): string[] {
  const offences: string[] = []
  const deterministicMath = new Set<unknown>()
  for (const node of nodesOf(code)) {
    const offend = (what: string) => offences.push(`${file}:${lineOf(code, node)} ${what}`)
    if (node.async === true) offend('async')
    if (node.type === 'AwaitExpression' || node.await === true) offend('await')
    if (node.type === 'MemberExpression' && node.computed === false && nameOf(node.property) !== 'random') {
      deterministicMath.add(node.object)
    }
    const name = nameOf(node)
    if (name === 'Math' && !deterministicMath.has(node)) offend(name)
    if (name !== undefined && IMPURE_NAMES.has(name)) offend(name)
  }
  return offences
}

interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly [field: string]: unknown
}

const parsed = new Map<string, SyntaxNode[]>()

/** Every node of the syntax tree, parents before children. */
function nodesOf(code: string, file = ''): SyntaxNode[] {
  const known = parsed.get(code)
  if (known !== undefined) return known
  const nodes: SyntaxNode[] = []
  parsed.set(code, nodes)
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    if (isNode(value)) nodes.push(value)
    for (const child of Object.values(value)) visit(child)
  }
  visit(parseAst(code, { lang: file.endsWith('.tsx') ? 'tsx' : 'ts', astType: 'ts' }))
  return nodes
}

function isNode(value: object): value is SyntaxNode {
  return 'type' in value && typeof value.type === 'string' && 'start' in value
}

function nameOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !isNode(value)) return undefined
  return value.type === 'Identifier' && typeof value.name === 'string' ? value.name : undefined
}

/** The module that an import or re-export of any form names; '' when that is computed; undefined for other nodes. */
function importedBy(node: SyntaxNode): string | undefined {
  const { source } = node
  if (typeof source !== 'object' || source === null) return undefined
  return 'value' in source && typeof source.value === 'string' ? source.value : ''
}

function isWithin(file: string, allowed: string[]): boolean {
  return allowed.includes(folderOf(file)) || allowed.includes(file.replace(/^src\//, ''))
}

/** Folders whose folders have rules of their own. */
const NESTED = ['server', 'operations']

/** 'raft' of src/raft/log.ts, 'server/node' of src/server/node/driver.ts. A file in src/ itself is its own path. */
function folderOf(file: string): string {
  const [top, folder, ...rest] = file.split('/')
  if (file.startsWith('src/server/peers/tcp/')) return 'server/peers/tcp'
  if (top === 'src' && NESTED.includes(folder ?? '') && rest.length > 1) return `${folder}/${rest[0]}`
  if (top === 'jepsen-lite') {
    return TESTER_ROOMS.find((room) => file.startsWith(`${room}/`)) ?? top
  }
  return top === 'src' && folder !== undefined && rest.length > 0 ? folder : file
}

function filesOf(folder: string): string[] {
  return sources.filter((file) => folderOf(file) === folder)
}

function lineOf(code: string, node: SyntaxNode): number {
  return code.slice(0, node.start).split('\n').length
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}
