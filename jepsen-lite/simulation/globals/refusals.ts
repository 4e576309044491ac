// Real I/O, which a simulated process is refused where it begins. `node:readline` needs no line of its own: it reads
// streams, and that of the terminal is refused.

import { currentProcess } from './process-globals.ts'
import { type AnyFunction, call, disguise, type Replacements } from './replacements.ts'

const builtin = process.getBuiltinModule
const { getCallSites, promisify } = builtin('node:util')

interface Refused {
  /** The name before that of the call. */
  readonly name: string
  readonly of: object
  /** Names of functions and classes, or what decides. */
  readonly calls: readonly string[] | ((name: string) => boolean)
  /** Whether these arguments are no real I/O. */
  readonly allows?: (args: readonly unknown[]) => boolean
}

/** Functions and classes of `node:fs` that touch no disk, or write to descriptors of output (`output.ts`). */
const FS_ALLOWED = new Set(['Dir', 'Dirent', 'Stats', '_toUnixTimestamp', 'write', 'writeSync'])

const isQuery = (name: string): boolean => /^(lookup|resolve|reverse)/.test(name)
const isFile = (name: string): boolean => !FS_ALLOWED.has(name) && !/^[A-Z]_OK$/.test(name)

/** Properties of a function that do the same as it: `fs.realpath.native`, and what `util.promisify` returns. */
const VARIANTS = new Set<PropertyKey>(['native', promisify.custom])

/** Loads `node:sqlite`, which is experimental, without a warning: the user may not use it. */
function loadSqlite(): object {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return builtin('node:sqlite') ?? {}
  } finally {
    process.emitWarning = emitWarning
  }
}

/** Loaded when globals are first replaced. */
const table = (): readonly Refused[] => {
  const [net, dns, workers] = [builtin('node:net'), builtin('node:dns'), builtin('node:worker_threads')]
  return [
    { name: 'net', of: net, calls: ['connect', 'createConnection'] },
    { name: 'net.Socket', of: net.Socket.prototype, calls: ['connect'] },
    { name: 'net.Server', of: net.Server.prototype, calls: ['listen'] },
    { name: 'tls', of: builtin('node:tls'), calls: ['connect'] },
    { name: 'dgram', of: builtin('node:dgram'), calls: ['createSocket', 'Socket'] },
    { name: 'dgram.Socket', of: builtin('node:dgram').Socket.prototype, calls: ['bind', 'connect', 'send'] },
    { name: 'dns', of: dns, calls: isQuery },
    { name: 'dns.Resolver', of: dns.Resolver.prototype, calls: isQuery },
    { name: 'dns.promises', of: dns.promises, calls: isQuery },
    { name: 'dns.promises.Resolver', of: dns.promises.Resolver.prototype, calls: isQuery },
    { name: 'http', of: builtin('node:http'), calls: ['request', 'get', 'ClientRequest'] },
    { name: 'https', of: builtin('node:https'), calls: ['request', 'get'] },
    { name: 'http2', of: builtin('node:http2'), calls: ['connect'] },
    { name: 'fs', of: builtin('node:fs'), calls: isFile },
    { name: 'fs.promises', of: builtin('node:fs/promises'), calls: isFile },
    {
      name: 'child_process',
      of: builtin('node:child_process'),
      calls: ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'],
    },
    { name: 'worker_threads', of: workers, calls: ['Worker', 'MessageChannel', 'BroadcastChannel'] },
    { name: 'cluster', of: builtin('node:cluster'), calls: ['fork'] },
    {
      name: 'process',
      of: process,
      calls: ['exit', 'reallyExit', 'abort', 'kill', 'chdir', 'loadEnvFile'],
    },
    { name: 'process.report', of: process.report, calls: ['writeReport'] },
    { name: 'v8', of: builtin('node:v8'), calls: ['writeHeapSnapshot'] },
    { name: 'sqlite', of: loadSqlite(), calls: ['DatabaseSync'], allows: ([path]) => path === ':memory:' },
    // They wait in real time.
    { name: 'Atomics', of: Atomics, calls: ['wait', 'waitAsync'] },
    { name: '', of: globalThis, calls: ['WebSocket', 'EventSource', 'MessageChannel', 'BroadcastChannel'] },
  ]
}

/** Code that loads modules, source maps and lines for messages: that of Node, and packages that take its place. */
const LOADERS =
  /^node:internal\/(assert|bootstrap|modules|source_map)\/|\/node_modules\/(@?vitest|vite|vite-node|jest-[\w-]+|@jest|tsx|esbuild|ts-node|pirates|source-map-support|@cspotcode)\//
/** Code between a loader and the call: other parts of Node, and packages that the loader uses or loads. */
const BETWEEN = /^node:|\/node_modules\/|^$/

const FRAMES_MAX = 40

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))

/** The files of the functions that led to a call, the last one first, without those of this folder. */
export function callers(): string[] {
  const frames = getCallSites(FRAMES_MAX).map(({ scriptName }) => scriptName.replaceAll('\\', '/'))
  const own = folderOf(frames[0] ?? '')
  return frames.filter((name) => folderOf(name) !== own)
}

/** Whether a loader of modules, or a test runner, calls the replacement, and no code of the user between them. */
export function isLoading(): boolean {
  const caller = callers().find((name) => LOADERS.test(name) || !BETWEEN.test(name))
  return caller !== undefined && LOADERS.test(caller)
}

/** Throws if a process calls it, and does not load a module. */
export function refuse(name: string, isKept = false): void {
  const host = currentProcess()
  if (host !== undefined && !isLoading()) host.refuse(name, isKept)
}

const refusing =
  (name: string, allows: Refused['allows'], isVariant = false) =>
  (real: AnyFunction): object => {
    const replacement = function (this: unknown, ...args: unknown[]): unknown {
      if (allows?.(args) !== true) refuse(name)
      if (new.target === undefined) return call(real, this, args)
      return Reflect.construct(real, args, new.target === replacement ? real : new.target)
    }
    replacement.prototype = real.prototype
    if (isVariant) return disguise(replacement, real)
    return disguise(replacement, real, (key, value) =>
      VARIANTS.has(key) ? refusing(name, allows, true)(value) : value,
    )
  }

export function replaceIo(replacements: Replacements): void {
  for (const { name, of, calls, allows } of table()) {
    const names = typeof calls === 'function' ? Object.getOwnPropertyNames(of).filter(calls) : calls
    const prefix = name === '' ? '' : `${name}.`
    for (const key of names) replacements.method(of, key, refusing(`${prefix}${key}`, allows))
  }
  replacements.value(process, 'stdin', (real) => (self) => {
    refuse('process.stdin')
    return real(self)
  })
}
