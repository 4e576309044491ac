// kv queue push|pop|peek|len|dead|requeue NAME, kv queue list: work queues. `pop` writes the value, and acknowledges
// the item when the system has all of it. If the command dies before, the item is delivered again.

import { Command } from '@commander-js/extra-typings'
import { shellWord } from '../../bytes/shell-word.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { type QueueEntry, type QueueLength, queue } from '../../recipes/index.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { parseLeaseTime, parsePriority, parseText, parseTimeout } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { listRecipeNames } from '../flags/key-range.ts'
import { readValue } from '../flags/value-source.ts'
import { printableText } from '../format/text.ts'
import {
  allWritten,
  type Format,
  printJson,
  printLines,
  printResult,
  setWriteIntent,
  write,
} from '../terminal/output.ts'
import { printList } from '../terminal/table.ts'

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
        .action((name, value, options) => queuePush(flags(), name, value, options)),
    )
    .addCommand(
      withExamples(new Command('pop'), ['kv queue pop mail', 'kv queue pop mail --wait 10s'])
        .description('take the next item and print it; it is done when it is printed')
        .argument('<name>', 'of the queue', parseText)
        .option('--wait <duration>', 'how long to wait for one', parseTimeout)
        .action((name, options) => queuePop(flags(), name, options)),
    )
    .addCommand(
      withExamples(new Command('peek'), ['kv queue peek mail'])
        .description('print the next item without taking it')
        .argument('<name>', 'of the queue', parseText)
        .action((name) => queuePeek(flags(), name)),
    )
    .addCommand(
      withExamples(new Command('len'), ['kv queue len mail', 'kv queue len mail -o json'])
        .description('how many items are ready, held or delayed, and dead')
        .argument('<name>', 'of the queue', parseText)
        .action((name) => queueLength(flags(), name)),
    )

    .addCommand(
      withExamples(new Command('list'), ['kv queue list', 'kv queue list -o json'])
        .description('all queues, and how many items are ready, held or delayed, and dead')
        .action(() => listQueues(flags())),
    )
    .addCommand(
      withExamples(new Command('dead'), ['kv queue dead mail', 'kv queue dead mail -o ndjson'])
        .description('the dead letters: items that were delivered too often without success')
        .argument('<name>', 'of the queue', parseText)
        .action((name) => listDead(flags(), name)),
    )
    .addCommand(
      withExamples(new Command('requeue'), ['kv queue requeue mail', 'kv queue requeue mail ID'])
        .description('put dead letters back into the queue; prints how many')
        .argument('<name>', 'of the queue', parseText)
        .argument('[id]', 'of one dead letter; otherwise all', parseText)
        .action((name, id) => requeueDead(flags(), name, id)),
    )

/** The consumers of the queue decide when an item becomes a dead letter: their limit is not known here. */
const UNLIMITED = { attemptsMax: Number.POSITIVE_INFINITY }

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
    const item = await queue(client, name, UNLIMITED).pop({ waitMs: wait, signal })
    if (item === undefined) throw isEmpty(name)
    setWriteIntent(undefined)
    await printItem(format, item)
    await allWritten()
    await item.ack()
  })
}

async function queuePeek(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const item = await queue(client, name, UNLIMITED).peek({ signal })
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

async function listQueues(global: GlobalFlags): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const queues: (QueueLength & { readonly name: Uint8Array })[] = []
    for await (const name of listRecipeNames(client, 'queue', signal))
      queues.push({ name, ...(await queue(client, name).len({ signal })) })
    await printList<(typeof queues)[number]>(
      format,
      queues,
      ({ name, ready, held, dead }) => ({ name: bytesDocument(name), ready, held, dead }),
      [
        { title: 'QUEUE', cell: ({ name }) => printableText(name) },
        { title: 'READY', cell: ({ ready }) => ready, alignRight: true },
        { title: 'HELD', cell: ({ held }) => held, alignRight: true },
        { title: 'DEAD', cell: ({ dead }) => dead, alignRight: true },
      ],
    )
  })
}

async function listDead(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    await printList<QueueEntry>(format, queue(client, name).dead.list({ signal }), itemJson, [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'ATTEMPTS', cell: ({ attempts }) => attempts, alignRight: true },
      { title: 'PRIORITY', cell: ({ priority }) => priority, alignRight: true },
      { title: 'ERROR', cell: ({ error }) => error },
      { title: 'VALUE', cell: ({ value }) => printableText(value) },
    ])
  })
}

async function requeueDead(global: GlobalFlags, name: string, id: string | undefined): Promise<void> {
  const intent = { kind: 'write', check: `${PROGRAM} queue len ${shellWord(name)}` } as const
  await withContext(global, intent, async ({ client, format, signal }) => {
    const count = await queue(client, name).dead.requeue(id, { signal })
    if (count === 0 && id !== undefined)
      throw new Failure(EXIT.notFound, `the queue ${name} has no dead letter ${id}`)
    const letters = count === 1 ? '1 dead letter is' : `${count} dead letters are`
    await printResult(format, { requeued: count }, String(count), `${letters} in the queue again`)
  })
}

const isEmpty = (name: string) => new Failure(EXIT.notFound, `the queue ${name} has no item that is ready`)

const itemJson = ({ id, attempts, priority, value, error }: QueueEntry): object => ({
  id,
  value: bytesDocument(value),
  attempts,
  priority,
  ...(error === undefined ? {} : { error }),
})

async function printItem(format: Format, item: QueueEntry): Promise<void> {
  if (await printJson(format, itemJson(item))) return
  if (format === 'plain') await write(item.value)
  else await printLines(printableText(item.value))
}
