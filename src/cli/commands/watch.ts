// kv watch [KEY | --prefix P]: prints changes as they happen, or runs a command for each revision.
//
// The command gets the events as JSON on its standard input. Only one runs at a time; what changes meanwhile waits, and
// nothing is left out. Ctrl-C reaches it too, as it belongs to the same terminal.

import { spawn } from 'node:child_process'
import type { KvRecord, WatchBatch, WatchEvent, WatchOptions } from '../../client/index.ts'
import { Failure, reasonOf } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { bytesToJson, isTable, paint, printable, say, shownBytes, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'
import { recordJson } from '../shapes.ts'

export interface WatchFlags {
  readonly prefix?: string | undefined
  readonly from?: number | undefined
  readonly prev?: true | undefined
  readonly only?: 'put' | 'delete' | undefined
  readonly exec?: true | undefined
}

export async function watch(
  global: GlobalFlags,
  key: string | undefined,
  command: readonly string[],
  flags: WatchFlags,
): Promise<void> {
  const { from, prev, only, exec } = flags
  if ((key === undefined) === (flags.prefix === undefined))
    throw new Failure(EXIT.usage, "name either a key, or --prefix; --prefix '' is all keys")
  if ((exec === true) !== command.length > 0)
    throw new Failure(
      EXIT.usage,
      exec === true ? '--exec needs a command: --exec -- COMMAND ARGUMENT…' : 'a command needs --exec',
    )
  await inSession(global, { kind: 'read' }, async (session) => {
    const place = key === undefined ? { prefix: flags.prefix } : { key }
    const options: WatchOptions = {
      ...place,
      ...{ fromRevision: from, prev, only, signal: session.signal },
      onResume: ({ endpoint, fromRevision, cause }) =>
        say(`goes on at ${endpoint} from revision ${fromRevision} (${cause.message})`),
    }
    for await (const batch of session.client.watch(options)) {
      if (exec === true) await run(command, batch, session)
      else await print(session, batch)
    }
  })
}

async function print({ format }: Session, batch: WatchBatch): Promise<void> {
  if (format === 'json' || format === 'ndjson') {
    await writeLine(JSON.stringify(batchJson(batch)))
    return
  }
  for (const event of batch.events) await writeLine(lineOf(batch.revision, event, format))
}

/** revision, what happened, key, value. The value before comes last, if it was asked for. */
function lineOf(revision: number, event: WatchEvent, format: Session['format']): string {
  const isPut = event.type === 'put'
  const type = isTable(format) ? paint(isPut ? 'green' : 'red', event.type) : event.type
  const fields = [String(revision), type, shown(event.keyBytes)]
  if (isPut) fields.push(shown(event.kv.value))
  if (event.prev !== undefined) fields.push(event.prev === null ? '-' : shown(event.prev.value))
  return fields.join(isTable(format) ? '  ' : '\t')
}

/** On one line: control characters are escaped. */
const shown = (bytes: Uint8Array): string => printable(shownBytes(bytes))

/** As over HTTP. */
const batchJson = ({ revision, events }: WatchBatch): object => ({
  revision,
  events: events.map((event) => {
    const before = event.prev === undefined ? undefined : { prev: maybeJson(event.prev) }
    return event.type === 'put'
      ? { type: 'put', kv: recordJson(event.kv), ...before }
      : { type: 'delete', key: bytesToJson(event.keyBytes), mod_revision: event.modRevision, ...before }
  }),
})

const maybeJson = (record: KvRecord | null): object | null => (record === null ? null : recordJson(record))

/** Throws a Failure with the exit code of the command, if that is not 0. */
async function run(
  [name = '', ...args]: readonly string[],
  batch: WatchBatch,
  { signal }: Session,
): Promise<void> {
  const env = { ...process.env, KV_REVISION: String(batch.revision) }
  const child = spawn(name, args, { env, stdio: ['pipe', 'inherit', 'inherit'] })
  // It may end without having read everything.
  child.stdin.on('error', () => {})
  child.stdin.end(`${JSON.stringify(batchJson(batch))}\n`)
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      const isMissing = error.code === 'ENOENT'
      reject(
        new Failure(
          isMissing ? COMMAND_NOT_FOUND : EXIT.failed,
          isMissing ? `there is no command ${name}` : `${name} cannot be run: ${reasonOf(error)}`,
        ),
      )
    })
    child.on('close', (exit, killedBy) => {
      if (exit !== null) resolve(exit)
      else if (signal.aborted) resolve(EXIT.interrupted)
      else reject(new Failure(EXIT.failed, `${name} was ended by ${killedBy} at revision ${batch.revision}`))
    })
  })
  if (signal.aborted) throw new Failure(EXIT.interrupted, `interrupted at revision ${batch.revision}`)
  if (code !== 0) throw new Failure(code, `${name} ended with ${code} at revision ${batch.revision}`)
}

/** As of a shell. */
const COMMAND_NOT_FOUND = 127
