// Holds a lock, or the lead of an election, while a command runs or until Ctrl-C.
//
// The command must end before the lock can have been lost. So it receives SIGTERM when the lease has not been renewed
// for so long that little of it is left, and SIGKILL a little later. If kv itself was suspended, it checks the clock
// when it resumes. Only the fencing token protects what the command does in between.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, QuorateError } from '../../client/index.ts'
import { keepProcessAlive } from '../../client/timer.ts'
import { Failure } from '../../local/failure.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { type HeldLock, LockNotTakenError, type LockOptions } from '../../recipes/index.ts'
import { type CommandContext, untilSecondSignal, withContext } from '../command-context.ts'
import { EXIT, endedBy } from '../exit-codes.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { formatMs, withinLease } from '../format/text.ts'
import { io } from '../terminal/io.ts'
import { onLostOutput, printResult, say } from '../terminal/output.ts'
import { isTable } from '../terminal/table.ts'
import { checkCommand, childExitCode, startChild } from './child.ts'

export const COMMAND_HELP =
  'after --; KV_LOCK_TOKEN is the fencing token, KV_LOCK_KEY the key of the holder in JSON: the token is its create revision'

const TTL_MS = 10_000
/** A shorter wait is not reported. */
const SAY_AFTER_MS = 500
/** Shares of the lease that are left when the command receives SIGTERM, and SIGKILL. */
const TERMINATE_SHARE = 0.4
const KILL_SHARE = 0.15
/** Interval of the check of the lease, as a share of it and at most. */
const CHECK_SHARE = 0.02
const CHECK_MS_MAX = 60_000

interface HoldOptions {
  readonly flags: GlobalFlags
  /** The lock, as messages name it. */
  readonly what: string
  /** Beginning of the keys of all clients that hold it or wait for it. */
  readonly queuePrefix: Uint8Array
  /** The words after `--`. */
  readonly command: readonly string[]
  readonly wait?: number | undefined
  readonly ttl?: number | undefined
}

export async function holdWhile(
  { flags, what, queuePrefix, command, wait: waitMs, ttl: ttlMs = TTL_MS }: HoldOptions,
  acquire: (client: Client, options: LockOptions) => Promise<HeldLock>,
): Promise<void> {
  checkCommand(command)
  await withContext(flags, { kind: 'write' }, async (context) => {
    const acquireNow = (signal: AbortSignal) => acquire(context.client, { waitMs, ttlMs, signal })
    const held = await acquired(context, what, queuePrefix, waitMs, acquireNow)
    await whileHeld(context, what, held, ttlMs, command)
  })
}

/** Reports a long wait. A signal ends the wait, and removes the client from the queue of the lock. */
async function acquired(
  { client, forwardSignals }: CommandContext,
  what: string,
  queuePrefix: Uint8Array,
  waitMs: number | undefined,
  acquire: (signal: AbortSignal) => Promise<HeldLock>,
): Promise<HeldLock> {
  const end = new AbortController()
  let received: NodeJS.Signals | undefined
  forwardSignals((name) => {
    received ??= name
    end.abort()
  })
  const over = new AbortController()
  void sayWait(client, what, queuePrefix, over.signal)
  try {
    return await acquire(end.signal)
  } catch (error) {
    if (received !== undefined) throw endedBy(received, `${what} was not taken`)
    if (error instanceof LockNotTakenError) {
      const wait = waitMs === undefined || waitMs === 0 ? '' : ` within ${formatMs(waitMs)}`
      throw new Failure(EXIT.unavailable, `could not take ${what}${wait}: another client holds it`)
    }
    // Whatever became of its requests, this attempt holds no lock: a key that it created goes with its lease.
    if (error instanceof QuorateError && error.written === 'unknown')
      throw new Failure(EXIT.unavailable, `${what} was not taken: ${error.message}`)
    throw error
  } finally {
    // The listener stays: a signal that arrives before the lock is in use is for the next listener.
    over.abort()
  }
}

/** Says what the command waits for, once that is known: for an answer, or for other clients. */
async function sayWait(
  client: Client,
  what: string,
  queuePrefix: Uint8Array,
  over: AbortSignal,
): Promise<void> {
  let isSilenceSaid = false
  while (!over.aborted) {
    await sleep(SAY_AFTER_MS, undefined, { signal: over, ref: false }).catch(() => {})
    if (over.aborted) return
    // The first answer has a revision.
    if (client.revision === 0) {
      if (!isSilenceSaid) say(`waiting for ${what}: no node has answered yet`)
      isSilenceSaid = true
      continue
    }
    const others = await clientsBefore(client, queuePrefix, over).catch(() => 0)
    if (others === 0) continue
    const more = others === 1 ? '' : `, and ${others - 1} more wait`
    if (!over.aborted) say(`waiting for ${what}: another client holds it${more}`)
    return
  }
}

/** All clients of the queue but this one, which is the last one that came. */
async function clientsBefore(client: Client, prefix: Uint8Array, signal: AbortSignal): Promise<number> {
  let count = 0
  for await (const { lease } of client.list({ prefix, keysOnly: true, signal }))
    if (lease !== undefined) count++
  return Math.max(0, count - 1)
}

async function whileHeld(
  context: CommandContext,
  what: string,
  held: HeldLock,
  ttlMs: number,
  command: readonly string[],
): Promise<void> {
  let received: NodeJS.Signals | undefined
  let isReleased = false
  try {
    if (command.length === 0) received = await untilEnded(context, what, held)
    else await run(context, what, held, ttlMs, command)
  } finally {
    isReleased = await untilSecondSignal(context, (signal) => held.release({ signal }))
  }
  if (received !== undefined)
    throw endedBy(received, isReleased ? `${what} is released` : `${what} is free ${withinLease(ttlMs)}`)
}

/** Prints the token, and holds the lock until a signal, or until the output is lost. */
async function untilEnded(context: CommandContext, what: string, held: HeldLock): Promise<NodeJS.Signals> {
  const end = new Promise<Failure | NodeJS.Signals>((resolve) => {
    context.forwardSignals(resolve)
    onLostOutput((exitCode) => resolve(new Failure(exitCode, '')))
    const onLost = () => resolve(new Failure(EXIT.failed, wasLost(what, held)))
    if (held.signal.aborted) onLost()
    held.signal.addEventListener('abort', onLost, { once: true })
  })
  const json = { token: held.token, key: bytesDocument(held.key) }
  const text = `holding ${what} (token ${held.token}); Ctrl-C releases it`
  await printResult(context.format, json, String(held.token), text)
  if (!isTable(context.format)) say(text)
  const result = await keepProcessAlive(end)
  if (result instanceof Failure) throw result
  return result
}

/** Ends with the exit code of the command, which receives the signals. */
async function run(
  { forwardSignals }: CommandContext,
  what: string,
  held: HeldLock,
  ttlMs: number,
  command: readonly string[],
): Promise<void> {
  const [file = ''] = command
  const env = {
    ...io().env,
    KV_LOCK_TOKEN: String(held.token),
    KV_LOCK_KEY: JSON.stringify(bytesDocument(held.key)),
  }
  // A terminal sends Ctrl-C to both. Many commands end at once on a second one.
  const isAtTerminal = [io().stdin, io().stdout, io().stderr].some(({ isTTY }) => isTTY)
  // Before the start: a signal that arrives while the command is being started is for it, too.
  forwardSignals((name) => {
    if (name !== 'SIGINT' || !isAtTerminal) child.kill(name)
  })
  const child = startChild(command, { stdin: 'inherit', env })
  let isTerminated = false
  const check = () => {
    if (held.leftMs <= ttlMs * KILL_SHARE && isTerminated) child.kill('SIGKILL')
    if (held.leftMs > ttlMs * TERMINATE_SHARE || isTerminated) return
    isTerminated = true
    say(`${what} may soon be lost: ending ${file}`)
    child.kill('SIGTERM')
  }
  const checking = setInterval(check, Math.min(ttlMs * CHECK_SHARE, CHECK_MS_MAX))
  held.signal.addEventListener('abort', check)
  try {
    const code = await childExitCode(child, file)
    const message = held.signal.aborted ? wasLost(what, held) : ''
    if (isTerminated || code !== 0) throw new Failure(code === 0 ? EXIT.failed : code, message)
  } finally {
    clearInterval(checking)
    held.signal.removeEventListener('abort', check)
  }
}

const wasLost = (what: string, { signal }: HeldLock): string =>
  `${what} was lost: ${signal.reason instanceof Error ? signal.reason.message : String(signal.reason)}`
