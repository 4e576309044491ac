// The environment of a command that uses the cluster: a client, the chosen format, and Ctrl-C as an AbortSignal.

import { type AnswerInfo, Client, QuorateError, type ReadOptions } from '../client/index.ts'
import { Failure } from '../local/failure.ts'
import { formatMs } from './duration.ts'
import { exitCodeOf, type Intent } from './exit-codes.ts'
import { explain } from './explain.ts'
import { type ChosenEndpoints, chooseEndpoints, type Format, type GlobalFlags } from './global-flags.ts'
import { say, tellsOfChange, watchReader } from './output.ts'
import { SAME_SIGNAL_MS, TERMINATING } from './stop-signals.ts'

const TIMEOUT_MS = 5_000
const END_MS = 20
/** How long a command waits for its first connection. A user wants to know soon that nothing runs. */
const UNREACHABLE_AFTER_MS = 500

export interface Session {
  readonly client: Client
  readonly endpoints: ChosenEndpoints
  readonly format: Format
  /** Whether a flag or a variable chose the format. */
  readonly formatChosen: boolean
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** From now on Ctrl-C, SIGTERM and SIGHUP are for `hear`, and do not end the command; undefined: they do again. */
  readonly leaveSignalsTo: (hear: ((name: NodeJS.Signals) => void) | undefined) => void
  /** The chosen consistency. Prints on stderr how stale an answer is. */
  readonly read: ReadOptions
}

export interface SessionNeeds {
  /** The time-out without --timeout. */
  readonly timeoutMs?: number
  /** How long no node may be reachable, instead of the usual short time. */
  readonly unreachableAfterMs?: number
  /** How many calls may be under way, instead of the usual number. */
  readonly callsMax?: number
  /** The time for which it waited for something else, which is no part of the time-out. */
  readonly waitedMs?: number
}

export async function inSession(
  flags: GlobalFlags,
  intent: Intent,
  run: (session: Session) => Promise<void>,
  needs: SessionNeeds = {},
): Promise<void> {
  const endpoints = chooseEndpoints(flags)
  const timeoutMs = leftOf(flags.timeout ?? needs.timeoutMs ?? TIMEOUT_MS, needs.waitedMs ?? 0)
  const client = new Client({
    endpoints: endpoints.urls,
    discover: !endpoints.explicit,
    timeoutMs,
    unreachableAfterMs: Math.min(timeoutMs, needs.unreachableAfterMs ?? UNREACHABLE_AFTER_MS),
    callsMax: needs.callsMax,
    onWarning: (message) => say(`warning: ${message}`),
  })
  const interrupt = new AbortController()
  let interruptedAt: number | undefined
  let hear: ((name: NodeJS.Signals) => void) | undefined
  let heard: NodeJS.Signals | undefined
  // process.exit() would wait for a read of a pipe.
  const endAtOnce = (name: NodeJS.Signals = 'SIGINT') => {
    process.off('SIGINT', onInterrupt)
    process.kill(process.pid, name)
  }
  const tell = (name: NodeJS.Signals) => {
    heard = name
    hear?.(name)
  }
  const onInterrupt = () => {
    if (hear !== undefined) return tell('SIGINT')
    const now = performance.now()
    if (interruptedAt === undefined) {
      interruptedAt = now
      interrupt.abort()
      // Nobody may ever read what waits to be printed, also when the command has ended.
      watchReader(() => endAtOnce())
    }
    // The second Ctrl-C waits for nothing.
    else if (now - interruptedAt >= SAME_SIGNAL_MS) endAtOnce()
  }
  process.on('SIGINT', onInterrupt)
  const onTerminate = (name: NodeJS.Signals) => tell(name)
  const leaveSignalsTo: Session['leaveSignalsTo'] = (listener) => {
    for (const name of TERMINATING) {
      if (listener === undefined) process.off(name, onTerminate)
      // Without a listener, for a moment only, the signal would end the process.
      else if (hear === undefined) process.on(name, onTerminate)
    }
    hear = listener
  }
  const read = readOptions(flags, interrupt.signal)
  if (intent.kind === 'write') tellsOfChange(intent)
  try {
    await run({
      client,
      endpoints,
      format: flags.output ?? (process.stdout.isTTY ? 'table' : 'plain'),
      formatChosen: flags.output !== undefined,
      timeoutMs,
      signal: interrupt.signal,
      leaveSignalsTo,
      read,
    })
  } catch (error) {
    if (error instanceof QuorateError) throw new Failure(exitCodeOf(error, intent), explain(error, intent))
    throw error
  } finally {
    process.off('SIGINT', onInterrupt)
    leaveSignalsTo(undefined)
    if (heard !== undefined) watchReader(() => endAtOnce(heard))
    await client.close()
  }
}

/**
 * Ends what the command holds: a lock, an instance. A closed terminal, and npm, repeat a signal: the repetition does
 * not end the process before the key is gone. A signal some time later fires the one of `end`.
 */
export async function untilImpatient<T>(
  { leaveSignalsTo }: Session,
  end: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const impatience = new AbortController()
  const begunAt = performance.now()
  leaveSignalsTo(() => {
    if (performance.now() - begunAt >= SAME_SIGNAL_MS) impatience.abort()
  })
  const ended = await end(impatience.signal)
  leaveSignalsTo(undefined)
  return ended
}

/**
 * A user measures `--timeout 2s` from the start of the command. So the time to start and end the process is subtracted,
 * up to half of the time-out.
 */
function leftOf(timeoutMs: number, waitedMs: number): number {
  return Math.max(timeoutMs / 2, timeoutMs - (performance.now() - waitedMs) - END_MS)
}

function readOptions(flags: GlobalFlags, signal: AbortSignal): ReadOptions {
  const wanted = flags.consistency
  let told = false
  const onAnswer = (info: AnswerInfo) => {
    const text = told ? undefined : freshness(info, wanted)
    told = true
    if (text !== undefined) say(text)
  }
  return { consistency: wanted, maxStalenessMs: flags.maxStaleness, signal, onAnswer }
}

function freshness(info: AnswerInfo, wanted: string | undefined): string | undefined {
  const node = info.node ?? 'a node'
  if (info.consistency === 'stale') {
    return info.stalenessMs === undefined
      ? `stale read from ${node}: how old it is, is unknown`
      : `stale read from ${node}: at most ${formatMs(info.stalenessMs)} old`
  }
  if (wanted === 'lease' && info.consistency === 'linearizable') {
    return `leases are off: ${node} served a linearizable read`
  }
  return undefined
}
