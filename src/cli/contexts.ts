// Contexts: named clusters of a user, each with what reaches it. They are in one file of the user's configuration,
// which only he may read. A context is used where `--context` or KV_CONTEXT names it, or where `quorate context use`
// made it the current one. Each flag and each variable of the command comes before it.

import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeDirectories, writeFileAtomically } from '../files/durable.ts'
import { Failure, failureReason } from '../local/failure.ts'
import { PROGRAM } from '../local/program-name.ts'
import { isObject } from '../operations/forms/decode.ts'
import { EXIT } from './exit-codes.ts'
import type { GlobalFlags } from './flags/global-flags.ts'
import { toJson } from './format/json.ts'
import { io } from './terminal/io.ts'

/** Endpoints, files and user of a cluster. Paths are absolute. */
export interface SavedContext {
  readonly endpoints: readonly string[]
  readonly cacert?: string
  readonly cert?: string
  readonly key?: string
  readonly user?: string
  readonly password?: string
}

interface Contexts {
  /** The context of commands that name none; undefined: they have none. */
  readonly current: string | undefined
  readonly contexts: Readonly<Record<string, SavedContext>>
}

export const CONTEXT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

export function contextsFile(): string {
  const { env } = io()
  const configuration = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config')
  return join(configuration, 'quorate', 'contexts.json')
}

const OTHERS_MAY_READ = 0o044

/** Throws if the file is damaged, or shows a password to other users. */
export function readContexts(): Contexts {
  const path = contextsFile()
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      return { current: undefined, contexts: {} }
    throw new Failure(EXIT.failed, `cannot read ${path}: ${failureReason(error)}`)
  }
  const file = parseContexts(text)
  if (file === undefined)
    throw new Failure(EXIT.failed, `${path} is no file of contexts: mend it, or delete it and add them again`)
  const hasPassword = Object.values(file.contexts).some(({ password }) => password !== undefined)
  if (hasPassword && process.platform !== 'win32' && (statSync(path).mode & OTHERS_MAY_READ) !== 0)
    throw new Failure(EXIT.failed, `${path} has a password, and others may read it: chmod 600 ${path}`)
  return file
}

export function writeContexts(contexts: Contexts): void {
  const path = contextsFile()
  try {
    makeDirectories(dirname(path), 0o700)
    writeFileAtomically(path, `${toJson(contexts)}\n`, 0o600)
  } catch (error) {
    throw new Failure(EXIT.failed, `cannot write ${path}: ${failureReason(error)}`)
  }
}

function parseContexts(text: string): Contexts | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(json) || !isObject(json.contexts)) return undefined
  const { current } = json
  if (current !== undefined && typeof current !== 'string') return undefined
  const contexts: Record<string, SavedContext> = {}
  for (const [name, context] of Object.entries(json.contexts)) {
    if (!CONTEXT_NAME.test(name) || !isContext(context)) return undefined
    contexts[name] = context
  }
  return { current, contexts }
}

const TEXTS = ['cacert', 'cert', 'key', 'user', 'password']

function isContext(value: unknown): value is SavedContext {
  if (!isObject(value)) return false
  const { endpoints, ...texts } = value
  const isList = Array.isArray(endpoints) && endpoints.every((each) => typeof each === 'string')
  const areTexts = Object.entries(texts).every(
    ([name, text]) => TEXTS.includes(name) && typeof text === 'string',
  )
  return isList && endpoints.length > 0 && areTexts
}

/** The flags of a command with those of its context, and the name of this context. */
interface FlagsInContext {
  readonly flags: GlobalFlags
  readonly contextName: string | undefined
}

/**
 * Adds what the context has and the command has not. A command with endpoints of its own reaches another cluster: then
 * the current context is not used, so that this cluster does not get its password. `--context ''` means none.
 */
export function inContext(flags: GlobalFlags): FlagsInContext {
  const { context: named, endpoints } = flags
  if (named === '' || (named === undefined && endpoints !== undefined))
    return { flags, contextName: undefined }
  const { current, contexts } = readContexts()
  const contextName = named ?? current
  if (contextName === undefined) return { flags, contextName }
  const context = Object.hasOwn(contexts, contextName) ? contexts[contextName] : undefined
  if (context === undefined) throw unknownContext(contextName, contexts)
  const { endpoints: urls, password, user, cacert, ...pair } = context
  const who = user === undefined || password === undefined ? user : `${user}:${password}`
  const hasPair = flags.cert !== undefined || flags.key !== undefined
  const hasUser = flags.user !== undefined || flags.token !== undefined
  return {
    contextName,
    flags: {
      endpoints: [...urls],
      ...(cacert === undefined ? {} : { cacert }),
      ...(hasPair ? {} : pair),
      ...(hasUser || who === undefined ? {} : { user: who }),
      ...flags,
    },
  }
}

export function unknownContext(name: string, contexts: Contexts['contexts']): Failure {
  const names = Object.keys(contexts)
  const known = names.length === 0 ? `\`${PROGRAM} context add\` makes one` : `there are ${names.join(', ')}`
  return new Failure(EXIT.usage, `there is no context ${name}: ${known}`)
}
