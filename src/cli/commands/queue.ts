// kv queue push|pop|peek|len NAME: a work queue (src/recipes/queue.ts). `pop` writes the value, and acknowledges the
// item when the system has all of it. If the command dies before, the item comes back.

import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { shellWord } from '../../local/shell-word.ts'
import { type QueueEntry, queue } from '../../recipes/index.ts'
import { EXIT } from '../exit-codes.ts'
import type { Format, GlobalFlags } from '../global-flags.ts'
import {
  allWritten,
  bytesToJson,
  printable,
  shownBytes,
  tellsOfChange,
  toJson,
  write,
  writeLine,
} from '../output.ts'
import { inSession } from '../session.ts'
import { valueFrom } from '../value-source.ts'

export interface QueuePushFlags {
  readonly value?: string | undefined
  readonly priority?: number | undefined
  readonly delay?: number | undefined
}

export async function queuePush(
  global: GlobalFlags,
  name: string,
  source: string | undefined,
  { value: literal, priority, delay }: QueuePushFlags,
): Promise<void> {
  const readAt = performance.now()
  const value = await valueFrom(source, literal, `queue push ${shellWord(name)}`)
  const waitedMs = performance.now() - readAt
  const intent = { kind: 'write', check: `${PROGRAM} queue len ${shellWord(name)}` } as const
  await inSession(
    global,
    intent,
    async ({ client, format, signal }) => {
      const id = await queue(client, name).push(value, { priority, delayMs: delay, signal })
      if (format === 'json') await writeLine(toJson({ id }))
      else if (format === 'ndjson') await writeLine(JSON.stringify({ id }))
      else await writeLine(id)
    },
    { waitedMs },
  )
}

export async function queuePop(
  global: GlobalFlags,
  name: string,
  { wait = 0 }: { readonly wait?: number | undefined },
): Promise<void> {
  const intent = { kind: 'write', check: `${PROGRAM} queue len ${shellWord(name)}` } as const
  await inSession(global, intent, async ({ client, format, signal }) => {
    const item = await queue(client, name).pop({ waitMs: wait, signal })
    if (item === undefined) throw isEmpty(name)
    tellsOfChange(undefined)
    await print(format, item)
    await allWritten()
    await item.ack()
  })
}

export async function queuePeek(global: GlobalFlags, name: string): Promise<void> {
  await inSession(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const item = await queue(client, name).peek({ signal })
    if (item === undefined) throw isEmpty(name)
    await print(format, item)
  })
}

export async function queueLength(global: GlobalFlags, name: string): Promise<void> {
  await inSession(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const length = await queue(client, name).len({ signal })
    const { ready, held, dead } = length
    if (format === 'json') await writeLine(toJson(length))
    else if (format === 'ndjson') await writeLine(JSON.stringify(length))
    else if (format === 'plain') await writeLine(`${ready}\t${held}\t${dead}`)
    else await writeLine(`${ready} ready, ${held} held or delayed, ${dead} dead`)
  })
}

const isEmpty = (name: string) =>
  new Failure(EXIT.notFound, `no item of the queue ${printable(name)} can be taken`)

async function print(format: Format, item: QueueEntry): Promise<void> {
  const { id, attempts, priority, value, error } = item
  const json = {
    id,
    value: bytesToJson(value),
    attempts,
    priority,
    ...(error === undefined ? {} : { error }),
  }
  if (format === 'json') await writeLine(toJson(json))
  else if (format === 'ndjson') await writeLine(JSON.stringify(json))
  else if (format === 'plain') await write(value)
  else await writeLine(shownBytes(value))
}
