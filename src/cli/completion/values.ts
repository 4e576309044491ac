// The values that an argument or a flag can have. Some come from the cluster. It is asked for a short time only,
// because the user waits.

import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Client } from '../../client/index.ts'
import { DEFAULT_DATA, readClusterFile } from '../../local/directory/cluster-file.ts'
import { createClient } from '../command-context.ts'
import { inContext, readContexts } from '../contexts.ts'
import { knownCredentials } from '../flags/credentials.ts'
import { chooseEndpoints, chooseTls, type GlobalFlags } from '../flags/global-flags.ts'
import { settingsByName } from '../format/setting-names.ts'
import { escapeText, formatMs } from '../format/text.ts'
import { TOPICS } from '../help-topics.ts'
import { userPath } from '../terminal/io.ts'

export interface Candidate {
  readonly value: string
  readonly description?: string | undefined
  /** The word is not complete, so no space follows. */
  readonly isPartial?: boolean
}

export interface Completion {
  readonly candidates: readonly Candidate[]
  /** The shell completes paths itself. */
  readonly paths?: 'files' | 'directories' | undefined
}

/** How long one question to the cluster may take, unless the user gives a timeout. */
const TIMEOUT_MS = 500
/** After this time, or the timeout of the user if that is longer, no further request is sent. */
const QUESTIONS_MS_MAX = 2_000
/** More candidates would not help a user. */
const KEYS_MAX = 200
const KEYS_A_QUESTION = 100

interface Context {
  /** Global flags. */
  readonly commands: readonly Candidate[]
  /** Values of flags on the line, by long name. */
  readonly typed: ReadonlyMap<string, string>
  readonly flags: GlobalFlags
}

type Source = (text: string, context: Context) => Promise<Completion> | Completion

const files: Source = () => ({ candidates: [], paths: 'files' })
const directories: Source = () => ({ candidates: [], paths: 'directories' })

/** Sources of values, by command and argument, or by flag. */
const SOURCES: Readonly<Record<string, Source>> = {
  'get key': keys,
  'put key': keys,
  'put value': fileBehindAt,
  'del keys': keys,
  'context use name': contexts,
  'context remove name': contexts,
  'history key': keys,
  'ls prefix': keys,
  'export prefix': keys,
  'watch key': keys,
  'watch command': files,
  'import source': files,
  'txn file': files,
  'simulate file': files,
  'lease keep-alive id': leases,
  'lease revoke id': leases,
  'lease show id': leases,
  'leader transfer node': members,
  'member remove name': members,
  'member replace name': members,
  'settings set name=value': settings,
  'user delete name': users,
  'user show name': users,
  'user passwd name': users,
  'user grant name': users,
  'user grant role': roles,
  'user revoke name': users,
  'user revoke role': roles,
  'role delete name': roles,
  'role show name': roles,
  'role grant name': roles,
  'role grant key': keys,
  'role revoke name': roles,
  'role revoke key': keys,
  'cluster kill node': localNodes,
  'cluster pause node': localNodes,
  'cluster resume node': localNodes,
  'cluster restart node': localNodes,
  'cluster rejoin node': localNodes,
  'cluster partition group': groups,
  'cluster cut from': localNodes,
  'cluster cut to': localNodes,
  'help topic': topics,
  '--data': directories,
  '--dir': directories,
  '--prefix': keys,
  '--strip-prefix': keys,
  '--lease': leases,
  '--role': roles,
  '--password-file': files,
  '--etcd-cacert': files,
  '--etcd-cert': files,
  '--etcd-key': files,
  '--start': keys,
  '--end': keys,
  '--context': contexts,
}

export const sourceNames = Object.keys(SOURCES)

export async function completeValue(name: string, text: string, context: Context): Promise<Completion> {
  return (await SOURCES[name]?.(text, context)) ?? { candidates: [] }
}

/** Keys up to their next slash, as paths are completed. */
async function keys(text: string, { flags }: Context): Promise<Completion> {
  return withClient(flags, async (client) => {
    const found = new Map<string, Candidate>()
    const until = performance.now() + Math.max(QUESTIONS_MS_MAX, flags.timeout ?? 0)
    const textBytes = Buffer.byteLength(text)
    // Bytes, because keys need not be UTF-8.
    let start: Uint8Array = Buffer.from(text)
    let count = KEYS_A_QUESTION
    while (count === KEYS_A_QUESTION && found.size < KEYS_MAX && performance.now() < until) {
      count = 0
      const range = { keysOnly: true, limit: KEYS_A_QUESTION, consistency: 'stale' } as const
      for await (const { key, keyBytes } of client.list(start.length === 0 ? range : { ...range, start })) {
        if (!key.startsWith(text)) return { candidates: [...found.values()] }
        count += 1
        const slash = keyBytes.indexOf(SLASH, textBytes)
        start = slash < 0 ? behind(keyBytes, 0) : behind(keyBytes.subarray(0, slash), SLASH + 1)
        const value = slash < 0 ? key : key.slice(0, key.indexOf('/', text.length) + 1)
        if (isTypable(value)) found.set(value, { value, isPartial: slash >= 0 })
      }
    }
    return { candidates: [...found.values()] }
  })
}

const SLASH = 0x2f

const behind = (bytes: Uint8Array, last: number): Uint8Array => Buffer.concat([bytes, Uint8Array.of(last)])

/** A line of the answer cannot hold other keys, and a key that is not UTF-8 cannot be typed. */
const isTypable = (text: string): boolean => escapeText(text) === text && !text.includes('\uFFFD')

function fileBehindAt(text: string): Completion {
  if (!text.startsWith('@')) return { candidates: [] }
  const path = text.slice(1)
  const directory = path.endsWith('/') ? path : path.includes('/') ? `${dirname(path)}/` : ''
  const entries = readdirSync(userPath(directory === '' ? '.' : directory), { withFileTypes: true })
  const candidates = entries.map((entry): Candidate => {
    const isPartial = entry.isDirectory()
    return { value: `@${directory}${entry.name}${isPartial ? '/' : ''}`, isPartial }
  })
  return { candidates: candidates.filter(({ value }) => isTypable(value)) }
}

async function members(_: string, { flags }: Context): Promise<Completion> {
  return withClient(flags, async (client) => {
    const found = await client.members()
    return { candidates: found.map(({ name, role }) => ({ value: name, description: role })) }
  })
}

async function leases(text: string, { flags }: Context): Promise<Completion> {
  return withClient(flags, async (client) => {
    const candidates: Candidate[] = []
    for await (const { id, remainingTtlMs } of client.leases()) {
      if (id.startsWith(text)) candidates.push({ value: id, description: `${formatMs(remainingTtlMs)} left` })
      if (candidates.length === KEYS_MAX) break
    }
    return { candidates }
  })
}

const nameCandidates = (all: readonly { readonly name: string }[]): Completion => ({
  candidates: all.map(({ name }) => ({ value: name })),
})

async function users(_: string, { flags }: Context): Promise<Completion> {
  return withClient(flags, async (client) => nameCandidates((await client.users.list()).users))
}

async function roles(_: string, { flags }: Context): Promise<Completion> {
  return withClient(flags, async (client) => nameCandidates((await client.roles.list()).roles))
}

function contexts(): Completion {
  return { candidates: Object.keys(readContexts().contexts).map((value) => ({ value })) }
}

async function settings(text: string, { flags }: Context): Promise<Completion> {
  return withClient(flags, async (client) => {
    const known = settingsByName(await client.settings())
    const [name = ''] = text.split('=', 1)
    if (text.includes('=')) {
      const isSwitch = known.some(([setting, value]) => setting === name && typeof value === 'boolean')
      return { candidates: isSwitch ? [{ value: `${name}=on` }, { value: `${name}=off` }] : [] }
    }
    return {
      candidates: known.map(([setting, value]) => ({
        value: `${setting}=`,
        description: `now ${typeof value === 'boolean' ? (value ? 'on' : 'off') : value}`,
        isPartial: true,
      })),
    }
  })
}

function localNodes(_: string, { typed }: Context): Completion {
  const nodes = readClusterFile(userPath(typed.get('--data') ?? DEFAULT_DATA))?.nodes ?? []
  if (nodes.length === 0) return { candidates: [] }
  return {
    candidates: [
      ...nodes.map(({ name, url }) => ({ value: name, description: url })),
      { value: 'leader', description: 'the node that leads now' },
      { value: 'follower', description: 'a node that follows now' },
    ],
  }
}

/** Names joined by commas. */
function groups(text: string, context: Context): Completion {
  const complete = text.slice(0, text.lastIndexOf(',') + 1)
  const named = complete.split(',')
  const { candidates } = localNodes(text, context)
  return {
    candidates: candidates
      .filter(({ value }) => !named.includes(value))
      .map((candidate) => ({ ...candidate, value: complete + candidate.value })),
  }
}

function topics(_: string, { commands }: Context): Completion {
  const described = Object.entries(TOPICS).map(([value, { summary }]) => ({ value, description: summary }))
  return { candidates: [...commands, ...described] }
}

async function withClient(
  given: GlobalFlags,
  load: (client: Client) => Promise<Completion>,
): Promise<Completion> {
  const { flags, contextName } = inContext(given)
  const credentials = knownCredentials(flags)
  // No question is asked at a prompt.
  if (credentials === undefined) return { candidates: [] }
  const limits = { timeoutMs: flags.timeout ?? TIMEOUT_MS, unreachableAfterMs: TIMEOUT_MS }
  const shared = { ...credentials, ...limits, onWarning: () => {}, tls: chooseTls(flags) }
  const client = createClient(chooseEndpoints(flags, contextName), shared)
  try {
    return await load(client)
  } finally {
    await client.close()
  }
}
