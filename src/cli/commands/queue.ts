// kv queue push|pop|peek|len NAME: a work queue. `pop` writes the value, and acknowledges the item when the system has
// all of it. If the command dies before, the item is delivered again.

import { Command } from '@commander-js/extra-typings'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { shellWord } from '../../local/shell-word.ts'
import { type QueueEntry, queue } from '../../recipes/index.ts'
import { withContext } from '../command-context.ts'
import { withExamples } from '../examples.ts'
import { EXIT } from '../exit-codes.ts'
import { parseLeaseTime, parsePriority, parseText, parseTimeout } from '../flag-values.ts'
import { bytesToJson, toJson, toJsonLine } from '../format-json.ts'
import { escapeText, textOfBytes } from '../format-text.ts'
import type { Format, GlobalFlags } from '../global-flags.ts'
import { allWritten, print, printResult, setWriteIntent, write, writeLine } from '../output.ts'
import type { ProgramContext } from '../program-context.ts'
import { readValue } from '../value-source.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('queue')
    .description('a work queue: each item is done by one consumer')
    .addCommand(
      withExamples(new Command('push'), [
        'kv queue push mail hello',
        'kv queue push mail @letter.txt --priority 5',
        'kv queue push mail later --delay 10m',
      ])
        .description('add an item; prints its id')
        .argument('<name>', 'of the queue', parseText)
        .argument('[value]', "the item; '-' reads standard input, @FILE a file")
        .option('--value <value>', 'the item as it is, even when it begins with - or @')
        .option('--priority <number>', 'from 0 to 999; higher first', parsePriority)
        .option('--delay <duration>', 'it cannot be taken before; from 1s', parseLeaseTime)
        .action(async (name, value, options) => {
          await queuePush(flags(), name, value, options)
        }),
    )
    .addCommand(
      withExamples(new Command('pop'), ['kv queue pop mail', 'kv queue pop mail --wait 10s'])
        .description('take the next item and print it; it is done when it is printed')
        .argument('<name>', 'of the queue', parseText)
        .option('--wait <duration>', 'how long to wait for one', parseTimeout)
        .action(async (name, options) => {
          await queuePop(flags(), name, options)
        }),
    )
    .addCommand(
      withExamples(new Command('peek'), ['kv queue peek mail'])
        .description('print the next item without taking it')
        .argument('<name>', 'of the queue', parseText)
        .action(async (name) => {
          await queuePeek(flags(), name)
        }),
    )
    .addCommand(
      withExamples(new Command('len'), ['kv queue len mail', 'kv queue len mail -o json'])
        .description('how many items are ready, held or delayed, and dead')
        .argument('<name>', 'of the queue', parseText)
        .action(async (name) => {
          await queueLength(flags(), name)
        }),
    )

interface QueuePushFlags {
  readonly value?: string | undefined
  readonly priority?: number | undefined
  readonly delay?: number | undefined
}

async function queuePush(
  global: GlobalFlags,
  name: string,
  source: string | undefined,
  { value: literal, priority, delay }: QueuePushFlags,
): Promise<void> {
  const readAt = performance.now()
  const value = await readValue(source, literal, `queue push ${shellWord(name)}`)
  const waitedMs = performance.now() - readAt
  const intent = { kind: 'write', check: `${PROGRAM} queue len ${shellWord(name)}` } as const
  await withContext(
    global,
    intent,
    async ({ client, format, signal }) => {
      const id = await queue(client, name).push(value, { priority, delayMs: delay, signal })
      await printResult(format, { id }, id)
    },
    { waitedMs },
  )
}

async function queuePop(
  global: GlobalFlags,
  name: string,
  { wait = 0 }: { readonly wait?: number | undefined },
): Promise<void> {
  const intent = { kind: 'write', check: `${PROGRAM} queue len ${shellWord(name)}` } as const
  await withContext(global, intent, async ({ client, format, signal }) => {
    const item = await queue(client, name).pop({ waitMs: wait, signal })
    if (item === undefined) throw isEmpty(name)
    setWriteIntent(undefined)
    await printItem(format, item)
    await allWritten()
    await item.ack()
  })
}

async function queuePeek(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const item = await queue(client, name).peek({ signal })
    if (item === undefined) throw isEmpty(name)
    await printItem(format, item)
  })
}

async function queueLength(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const length = await queue(client, name).len({ signal })
    const { ready, held, dead } = length
    const text = `${ready} ready, ${held} held or delayed, ${dead} dead`
    await printResult(format, length, `${ready}\t${held}\t${dead}`, text)
  })
}

const isEmpty = (name: string) =>
  new Failure(EXIT.notFound, `no item of the queue ${escapeText(name)} can be taken`)

async function printItem(format: Format, item: QueueEntry): Promise<void> {
  const { id, attempts, priority, value, error } = item
  const json = {
    id,
    value: bytesToJson(value),
    attempts,
    priority,
    ...(error === undefined ? {} : { error }),
  }
  if (format === 'json') await writeLine(toJson(json))
  else if (format === 'ndjson') await writeLine(toJsonLine(json))
  else if (format === 'plain') await write(value)
  else await print(textOfBytes(value))
}
