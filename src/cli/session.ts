// What a command that talks to the cluster has at hand: a client, the chosen format, and Ctrl-C as an AbortSignal.

import { type AnswerInfo, Client, QuorateError, type ReadOptions } from '../client/index.ts'
import { Failure } from '../local/failure.ts'
import { formatMs } from './duration.ts'
import { exitCodeOf, explain, type Intent } from './explain.ts'
import { type ChosenEndpoints, chooseEndpoints, type Format, type GlobalFlags } from './global-flags.ts'
import { say } from './output.ts'
import { SAME_SIGNAL_MS } from './stop-signals.ts'

const TIMEOUT_MS = 5_000
const END_MS = 20
/** A command waits this long for a first connection; a person wants to know soon that nothing runs. */
const UNREACHABLE_AFTER_MS = 500

export interface Session {
  readonly client: Client
  readonly endpoints: ChosenEndpoints
  readonly format: Format
  /** Whether the format was asked for, by flag or variable. */
  readonly formatChosen: boolean
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** The consistency that the user wants; says on stderr how stale an answer is. */
  readonly read: ReadOptions
}

export interface SessionNeeds {
  /** Without --timeout. */
  readonly timeoutMs?: number
  /** Instead of giving up soon when nobody can be reached. */
  readonly unreachableAfterMs?: number
  /** What it has waited for somebody else, which is no part of its timeout. */
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
    onWarning: (message) => say(`warning: ${message}`),
  })
  const interrupt = new AbortController()
  let interruptedAt: number | undefined
  const onInterrupt = () => {
    const now = performance.now()
    interruptedAt ??= now
    interrupt.abort()
    if (now - interruptedAt < SAME_SIGNAL_MS) return
    // The second Ctrl-C does not wait for anything. process.exit() would wait for the read of a pipe.
    process.off('SIGINT', onInterrupt)
    process.kill(process.pid, 'SIGINT')
  }
  process.on('SIGINT', onInterrupt)
  const read = readOptions(flags, interrupt.signal)
  try {
    await run({
      client,
      endpoints,
      format: flags.output ?? (process.stdout.isTTY ? 'table' : 'plain'),
      formatChosen: flags.output !== undefined,
      timeoutMs,
      signal: interrupt.signal,
      read,
    })
  } catch (error) {
    if (error instanceof QuorateError) throw new Failure(exitCodeOf(error, intent), explain(error, intent))
    throw error
  } finally {
    process.off('SIGINT', onInterrupt)
    await client.close()
  }
}

/**
 * Who says `--timeout 2s` looks at the clock: what the process has needed to start, and will need to end, is a part of
 * it, up to half.
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
