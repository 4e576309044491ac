// kv lock NAME [-- CMD…] and kv elect NAME [VALUE] [-- CMD…]: to hold a lock, or lead, while a command runs or until
// Ctrl-C (src/recipes/lock.ts, leader.ts).
//
// The command must have ended before the lock can have been lost. So it gets SIGTERM when keep-alives have gone
// unanswered for so long that little is left of the lease, and SIGKILL a little later. If kv itself was stopped, it
// looks at the clock when it goes on. Only the token protects what the command does in between.

import { constants } from 'node:os'
import { after } from '../../client/timer.ts'
import { Failure } from '../../local/failure.ts'
import { shellWord } from '../../local/shell-word.ts'
import { campaign, followLeader, type HeldLock, leaderOf, lock } from '../../recipes/index.ts'
import { checkCommand, exitCodeOfChild, startChild } from '../child.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { bytesToJson, printable, say, shownBytes, toJson, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'

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

/** Says that it waits, if it does. Ctrl-C and SIGTERM end the waiting; its place in the line goes with it. */
async function taken(
  { leaveSignalsTo }: Session,
  what: string,
  take: (signal: AbortSignal) => Promise<HeldLock>,
): Promise<HeldLock> {
  const end = new AbortController()
  let endedBy: NodeJS.Signals | undefined
  leaveSignalsTo((name) => {
    endedBy ??= name
    end.abort()
  })
  const stop = after(SAY_AFTER_MS, () => say(`waiting for ${what}`))
  try {
    return await take(end.signal)
  } catch (error) {
    throw endedBy === undefined ? error : ended(endedBy, `${what} was not taken`)
  } finally {
    stop()
    leaveSignalsTo(undefined)
  }
}

const ended = (by: NodeJS.Signals, how: string): Failure =>
  new Failure(128 + constants.signals[by], `ended by ${by}: ${how}`)

async function whileHeld(
  session: Session,
  what: string,
  held: HeldLock,
  ttlMs: number,
  command: readonly string[],
): Promise<void> {
  try {
    if (command.length === 0) await untilEnded(session, what, held)
    else await run(session, what, held, ttlMs, command)
  } finally {
    session.leaveSignalsTo(undefined)
    await held.release()
  }
}

/** Prints the token, and holds it until Ctrl-C or SIGTERM. */
async function untilEnded(session: Session, what: string, held: HeldLock): Promise<void> {
  const end = new Promise<NodeJS.Signals | undefined>((resolve) => {
    session.leaveSignalsTo(resolve)
    if (held.signal.aborted) resolve(undefined)
    held.signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const json = { token: held.token, key: bytesToJson(held.key) }
  if (session.format === 'json') await writeLine(toJson(json))
  else if (session.format === 'ndjson') await writeLine(JSON.stringify(json))
  else await writeLine(String(held.token))
  // The timer keeps the process alive: the keep-alives of a lease do not.
  const stop = after(Number.POSITIVE_INFINITY, () => {})
  const name = await end
  stop()
  if (name === undefined) throw new Failure(EXIT.failed, wasLost(what, held))
  throw ended(name, `${what} is released`)
}

/** Ends with the exit code of the command. Ctrl-C and SIGTERM are for the command. */
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
  const child = startChild(command, { stdio: 'inherit', env })
  // A terminal sends Ctrl-C to both. For many commands a second one means to end at once.
  const isAtTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
  leaveSignalsTo((name) => {
    if (name !== 'SIGINT' || !isAtTerminal) child.kill(name)
  })
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
