// The environment of a command that uses the cluster: a client, the chosen format, and Ctrl-C as an AbortSignal.

import { shortTime } from '../client/call-error.ts'
import {
  type AnswerInfo,
  Client,
  type ClientOptions,
  QuorateError,
  type ReadOptions,
  UnreachableError,
} from '../client/index.ts'
import { Cancellation, Failure } from '../local/failure.ts'
import { inContext } from './contexts.ts'
import { formatError } from './error-message.ts'
import { EXIT, errorExitCode, type Intent } from './exit-codes.ts'
import { type CredentialFlags, readCredentials } from './flags/credentials.ts'
import {
  type ChosenEndpoints,
  chooseEndpoints,
  chooseTls,
  type GlobalFlags,
  localCluster,
  outputFormat,
} from './flags/global-flags.ts'
import { formatMs } from './format/text.ts'
import { io, withCurrentIo } from './terminal/io.ts'
import { type Format, say, setWriteIntent } from './terminal/output.ts'
import { SAME_SIGNAL_MS, TERMINATING } from './terminal/stop-signals.ts'

const TIMEOUT_MS = 5_000
const END_MS = 20
/** How long a command that tries for longer waits in silence. */
const SAY_AFTER_MS = 2_000
/** How long a command tries to connect. A user wants to know soon that nothing runs. */
const UNREACHABLE_AFTER_MS = 500

type SignalListener = (name: NodeJS.Signals) => void

export interface CommandContext {
  readonly client: Client
  /** The options of the client, for another one of the same cluster. */
  readonly clientOptions: Omit<ClientOptions, 'endpoints' | 'discover' | 'transport'>
  readonly endpoints: ChosenEndpoints
  /** The context that is used; undefined: none. */
  readonly contextName: string | undefined
  readonly format: Format
  /** Whether a flag or a variable chose the format. */
  readonly isFormatChosen: boolean
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Sends Ctrl-C, SIGTERM and SIGHUP to `listener` instead of ending the command; undefined restores the default. */
  readonly forwardSignals: (listener: SignalListener | undefined) => void
  /** The chosen consistency. Prints on stderr how stale an answer is. */
  readonly read: ReadOptions
}

interface ContextOptions {
  /** The timeout without --timeout. */
  readonly timeoutMs?: number
  /** How long no node may be reachable, instead of the usual short time. */
  readonly unreachableAfterMs?: number
  /** Limit on concurrent calls, instead of the usual one. */
  readonly callsMax?: number
  /** Time spent on other input, which does not count against the timeout. */
  readonly waitedMs?: number
}

export async function withContext(
  given: GlobalFlags,
  intent: Intent,
  run: (context: CommandContext) => Promise<void>,
  options: ContextOptions = {},
): Promise<void> {
  const { flags, contextName } = inContext(given)
  const endpoints = chooseEndpoints(flags, contextName)
  sayContext(given, contextName)
  const tls = chooseTls(flags)
  const askedAt = performance.now()
  const credentials = await readCredentials(flags)
  const waitedMs = (options.waitedMs ?? 0) + performance.now() - askedAt
  const givenMs = flags.timeout ?? options.timeoutMs ?? TIMEOUT_MS
  const timeoutMs = remainingMs(givenMs, waitedMs)
  const clientOptions = {
    ...credentials,
    timeoutMs,
    unreachableAfterMs: Math.min(timeoutMs, options.unreachableAfterMs ?? UNREACHABLE_AFTER_MS),
    callsMax: options.callsMax,
    onWarning: (message: string) => say(`warning: ${message}`),
    tls: tls && (() => chooseTls(flags) ?? tls),
  }
  const client = checkedByClient(() => createClient(endpoints, clientOptions))
  const signals = new CommandSignals()
  if (intent.kind === 'write') setWriteIntent(intent)
  try {
    if (endpoints.source === 'default' && io().stderr.isTTY === true)
      await sayCluster(client, options, signals.interrupted, givenMs)
    await run({
      client,
      clientOptions,
      endpoints,
      contextName,
      format: outputFormat(flags),
      isFormatChosen: flags.output !== undefined,
      timeoutMs,
      signal: signals.interrupted,
      forwardSignals: (listener) => signals.forward(listener),
      read: readOptions(flags, signals.interrupted),
    })
  } catch (error) {
    if (!(error instanceof QuorateError)) throw error
    const text = formatError(error, intent, endpoints.source, userText(credentials))
      // The user knows the timeout of the command, not what the start of the process has left of it.
      .replace(shortTime(timeoutMs), shortTime(givenMs))
    const EndOfCommand = error.code === 'aborted' ? Cancellation : Failure
    throw new EndOfCommand(errorExitCode(error, intent), text)
  } finally {
    signals.close()
    await client.close()
  }
}

/** Names the current context where a user may expect the local cluster of the working directory. */
function sayContext({ context }: GlobalFlags, contextName: string | undefined): void {
  if (context !== undefined || contextName === undefined || io().stderr.isTTY !== true) return
  if (localCluster() === undefined) return
  say(`the context ${contextName} is used, not the local cluster here; --context '' uses that one`)
}

function userText(credentials: CredentialFlags): string | undefined {
  if ('user' in credentials) return credentials.user
  return 'token' in credentials ? 'the user of this token, or that it has not ended' : undefined
}

/** A client of the chosen endpoints. Those of a local cluster are used only while its own nodes answer there. */
export const createClient = (
  { urls, explicit, clusterId }: ChosenEndpoints,
  options: Omit<ClientOptions, 'endpoints' | 'discover'>,
): Client => new Client({ ...options, endpoints: urls, discover: !explicit }, undefined, clusterId)

/** Another project's cluster may answer at the default addresses. */
async function sayCluster(
  client: Client,
  { unreachableAfterMs }: ContextOptions,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  const answered = unreachableAfterMs === undefined ? undefined : sayWhileSilent(timeoutMs)
  try {
    const { clusterId } = await client.cluster({ signal })
    say(`no local cluster here: cluster ${clusterId} answers at ${client.endpoints[0]}`)
  } catch (error) {
    // A command that keeps trying reports it later.
    const isFinal = error instanceof UnreachableError && unreachableAfterMs === undefined
    if (isFinal || (error instanceof QuorateError && error.code === 'unauthenticated')) throw error
  } finally {
    answered?.()
  }
}

/** Says once that no node has answered, if a command with a long timeout still waits. Returns what ends that. */
export function sayWhileSilent(timeoutMs: number, isWaiting = () => true): () => void {
  const tell = () => {
    if (isWaiting()) say(`no node has answered yet; trying for up to ${shortTime(timeoutMs)}`)
  }
  const timer = setTimeout(withCurrentIo(tell), SAY_AFTER_MS)
  return () => clearTimeout(timer)
}

/** Calls the client with arguments of the command line: what the client refuses is a wrong command line. */
export function checkedByClient<T>(call: () => T): T {
  try {
    const result = call()
    return result instanceof Promise ? (result.catch(throwUsage) as T) : result
  } catch (error) {
    return throwUsage(error)
  }
}

function throwUsage(error: unknown): never {
  throw error instanceof TypeError ? new Failure(EXIT.usage, error.message) : error
}

/** The signals of a command. The first Ctrl-C aborts its calls; the second one, some time later, ends the process. */
class CommandSignals {
  readonly #io = io()
  readonly #interrupt = new AbortController()
  #interruptedAt: number | undefined
  #listener: SignalListener | undefined
  readonly #onInterrupt = withCurrentIo(() => this.#interrupted())
  readonly #onTerminate = withCurrentIo((name: NodeJS.Signals) => this.#listener?.(name))

  constructor() {
    this.#io.signals.on('SIGINT', this.#onInterrupt)
  }

  get interrupted(): AbortSignal {
    return this.#interrupt.signal
  }

  forward(listener: SignalListener | undefined): void {
    for (const name of TERMINATING) {
      if (listener === undefined) this.#io.signals.off(name, this.#onTerminate)
      // A gap without a listener, however short, would let the signal end the process.
      else if (this.#listener === undefined) this.#io.signals.on(name, this.#onTerminate)
    }
    this.#listener = listener
  }

  /** Restores the default of all signals. */
  close(): void {
    this.#io.signals.off('SIGINT', this.#onInterrupt)
    this.forward(undefined)
  }

  #interrupted(): void {
    if (this.#listener !== undefined) {
      this.#listener('SIGINT')
      return
    }
    const now = performance.now()
    if (this.#interruptedAt === undefined) {
      this.#interruptedAt = now
      this.#interrupt.abort()
    } else if (now - this.#interruptedAt >= SAME_SIGNAL_MS) {
      // process.exit() would wait for a read of a pipe.
      this.#io.signals.off('SIGINT', this.#onInterrupt)
      this.#io.raise('SIGINT')
    }
  }
}

/**
 * Releases what the command holds: a lock, an instance. A closed terminal, and npm, repeat a signal: the repetition
 * does not end the process before the key is gone. A signal some time later aborts `release`.
 */
export async function untilSecondSignal<T>(
  { forwardSignals }: CommandContext,
  release: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const second = new AbortController()
  const begunAt = performance.now()
  forwardSignals(() => {
    if (performance.now() - begunAt >= SAME_SIGNAL_MS) second.abort()
  })
  const result = await release(second.signal)
  forwardSignals(undefined)
  return result
}

/**
 * A user measures `--timeout 2s` from the start of the command. So the time to start and end the process is subtracted,
 * up to half of the timeout.
 */
function remainingMs(timeoutMs: number, waitedMs: number): number {
  const elapsedMs = performance.now() - io().startedAtMs - waitedMs
  return Math.max(timeoutMs / 2, timeoutMs - elapsedMs - END_MS)
}

function readOptions(flags: GlobalFlags, signal: AbortSignal): ReadOptions {
  const { consistency, maxStaleness: maxStalenessMs } = flags
  let isReported = false
  const onAnswer = (info: AnswerInfo) => {
    const text = isReported ? undefined : freshness(info, consistency)
    isReported = true
    if (text !== undefined) say(text)
  }
  return { consistency, maxStalenessMs, signal, onAnswer }
}

function freshness(info: AnswerInfo, chosen: string | undefined): string | undefined {
  const node = info.node ?? 'a node'
  if (info.consistency === 'stale') {
    return info.stalenessMs === undefined
      ? `stale read from ${node}: how old it is, is unknown`
      : `stale read from ${node}: at most ${formatMs(info.stalenessMs)} old`
  }
  if (chosen === 'lease' && info.consistency === 'linearizable') {
    return `leases are off: ${node} served a linearizable read`
  }
  return undefined
}
