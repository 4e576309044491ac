// kv lock NAME [-- CMD…] and kv elect NAME [VALUE] [-- CMD…]: to hold a lock, or lead, while a command runs or until
// Ctrl-C (src/recipes/lock.ts, leader.ts).
//
// The command must have ended before the lock can have been lost. So it gets SIGTERM when keep-alives have gone
// unanswered for so long that little is left of the lease, and SIGKILL a little later. If kv itself was stopped, it
// looks at the clock when it goes on. Only the token protects what the command does in between.

import { QuorateError } from '../../client/index.ts'
import { after } from '../../client/timer.ts'
import { Failure } from '../../local/failure.ts'
import { shellWord } from '../../local/shell-word.ts'
import { campaign, followLeader, type HeldLock, leaderOf, lock } from '../../recipes/index.ts'
import { checkCommand, exitCodeOfChild, startChild } from '../child.ts'
import { EXIT, endedBy, withinLease } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { bytesToJson, leaveOutputTo, printable, say, shownBytes, toJson, writeLine } from '../output.ts'
import { inSession, type Session, untilImpatient } from '../session.ts'

const TTL_MS = 10_000
/** A wait of this time is told. */
const SAY_AFTER_MS = 500
/** The command is asked to end when this share of its lease is left, and killed when the other one is. */
const TERMINATE_SHARE = 0.4
const KILL_SHARE = 0.15
/** How often what is left is looked at; of a long lease at least so often. */
const LOOK_SHARE = 0.02
const LOOK_MS_MAX = 60_000

export interface LockFlags {
  readonly wait?: number | undefined
  readonly ttl?: number | undefined
}

export async function lockCommand(
  global: GlobalFlags,
  name: string,
  command: readonly string[],
  { wait, ttl = TTL_MS }: LockFlags,
): Promise<void> {
  checkCommand(command)
  const what = `the lock ${shellWord(name)}`
  await inSession(global, { kind: 'write' }, async (session) => {
    const take = (signal: AbortSignal) => lock(session.client, name, { waitMs: wait, ttlMs: ttl, signal })
    const held = await taken(session, what, take)
    await whileHeld(session, what, held, ttl, command)
  })
}

export async function electCommand(
  global: GlobalFlags,
  name: string,
  value: string | undefined,
  command: readonly string[],
  { wait, ttl = TTL_MS }: LockFlags,
): Promise<void> {
  checkCommand(command)
  const what = `the lead of ${shellWord(name)}`
  await inSession(global, { kind: 'write' }, async (session) => {
    const take = (signal: AbortSignal) =>
      campaign(session.client, name, { value, waitMs: wait, ttlMs: ttl, signal })
    const held = await taken(session, what, take)
    await whileHeld(session, what, held, ttl, command)
  })
}

/** A line for each leader, until Ctrl-C. */
export async function listenToElection(global: GlobalFlags, name: string): Promise<void> {
  await inSession(global, { kind: 'read' }, async ({ client, format, signal }) => {
    // Who follows waits for a cluster as long as it takes. A user wants to know soon that there is none.
    await leaderOf(client, name, { signal })
    for await (const leader of followLeader(client, name, { signal })) {
      if (format === 'json' || format === 'ndjson') {
        const json =
          leader === undefined ? null : { token: leader.createRevision, value: bytesToJson(leader.value) }
        await writeLine(JSON.stringify({ leader: json }))
      } else if (leader === undefined) say(`nobody leads ${shellWord(name)}`)
      else {
        const value = printable(shownBytes(leader.value))
        await writeLine(format === 'plain' ? `${leader.createRevision}\t${value}` : value)
      }
    }
  })
}

/** Says that it waits, if it does. A signal ends the waiting; its place in the line goes with it. */
async function taken(
  { leaveSignalsTo }: Session,
  what: string,
  take: (signal: AbortSignal) => Promise<HeldLock>,
): Promise<HeldLock> {
  const end = new AbortController()
  let heard: NodeJS.Signals | undefined
  leaveSignalsTo((name) => {
    heard ??= name
    end.abort()
  })
  const stop = after(SAY_AFTER_MS, () => say(`waiting for ${what}`))
  try {
    return await take(end.signal)
  } catch (error) {
    if (heard !== undefined) throw endedBy(heard, `${what} was not taken`)
    // Nobody holds it by this try, whatever became of its requests: a key that they have made goes with its lease.
    if (error instanceof QuorateError && error.written === 'unknown')
      throw new Failure(EXIT.unavailable, `${what} was not taken: ${error.message}`)
    throw error
  } finally {
    // Signals are still heard here. One that comes before the lock is in use is for the next listener.
    stop()
  }
}

async function whileHeld(
  session: Session,
  what: string,
  held: HeldLock,
  ttlMs: number,
  command: readonly string[],
): Promise<void> {
  let heard: NodeJS.Signals | undefined
  let isReleased = false
  try {
    if (command.length === 0) heard = await untilEnded(session, what, held)
    else await run(session, what, held, ttlMs, command)
  } finally {
    isReleased = await untilImpatient(session, (signal) => held.release({ signal }))
  }
  if (heard !== undefined)
    throw endedBy(heard, isReleased ? `${what} is released` : `${what} is free ${withinLease(ttlMs)}`)
}

/** Prints the token, and holds it until a signal, or until the token turns out to have no reader. */
async function untilEnded(session: Session, what: string, held: HeldLock): Promise<NodeJS.Signals> {
  const end = new Promise<Failure | NodeJS.Signals>((resolve) => {
    session.leaveSignalsTo(resolve)
    leaveOutputTo((exitCode) => resolve(new Failure(exitCode, '')))
    const onLost = () => resolve(new Failure(EXIT.failed, wasLost(what, held)))
    if (held.signal.aborted) onLost()
    held.signal.addEventListener('abort', onLost, { once: true })
  })
  const json = { token: held.token, key: bytesToJson(held.key) }
  if (session.format === 'json') await writeLine(toJson(json))
  else if (session.format === 'ndjson') await writeLine(JSON.stringify(json))
  else await writeLine(String(held.token))
  // The timer keeps the process alive: the keep-alives of a lease do not.
  const stop = after(Number.POSITIVE_INFINITY, () => {})
  const how = await end
  stop()
  if (how instanceof Failure) throw how
  return how
}

/** Ends with the exit code of the command. Signals are for the command. */
async function run(
  { leaveSignalsTo }: Session,
  what: string,
  held: HeldLock,
  ttlMs: number,
  command: readonly string[],
): Promise<void> {
  const [file = ''] = command
  const env = {
    ...process.env,
    KV_LOCK_TOKEN: String(held.token),
    KV_LOCK_KEY: Buffer.from(held.key).toString(),
  }
  // A terminal sends Ctrl-C to both. For many commands a second one means to end at once.
  const isAtTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
  // Before the command begins: what comes while it is being started is for it, too.
  leaveSignalsTo((name) => {
    if (name !== 'SIGINT' || !isAtTerminal) child.kill(name)
  })
  const child = startChild(command, { stdio: 'inherit', env })
  let isTold = false
  const look = () => {
    if (held.leftMs <= ttlMs * KILL_SHARE && isTold) child.kill('SIGKILL')
    if (held.leftMs > ttlMs * TERMINATE_SHARE || isTold) return
    isTold = true
    say(`${what} may soon be lost: ${printable(file)} is ended`)
    child.kill('SIGTERM')
  }
  const looking = setInterval(look, Math.min(ttlMs * LOOK_SHARE, LOOK_MS_MAX))
  held.signal.addEventListener('abort', look)
  try {
    const code = await exitCodeOfChild(child, file)
    const message = held.signal.aborted ? wasLost(what, held) : ''
    if (isTold || code !== 0) throw new Failure(code === 0 ? EXIT.failed : code, message)
  } finally {
    clearInterval(looking)
    held.signal.removeEventListener('abort', look)
  }
}

const wasLost = (what: string, { signal }: HeldLock): string =>
  `${what} was lost: ${signal.reason instanceof Error ? signal.reason.message : String(signal.reason)}`
