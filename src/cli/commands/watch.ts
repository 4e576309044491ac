// kv watch KEY | --prefix P: prints every change, or runs a command for each revision. When a node is lost, the watch
// resumes at another one, and stderr says so.

import { Command, Option } from '@commander-js/extra-typings'
import { CompactedError, type Watch, type WatchBatch, type WatchEvent } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { checkCommand } from '../exec/child.ts'
import { runOnce } from '../exec/watch-exec.ts'
import { EXIT } from '../exit-codes.ts'
import { keyArgument, splitAtDashes } from '../flags/arguments.ts'
import { parseRevision } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { printedOrigin, printedRecordJson, toJson, toJsonLine } from '../format/json.ts'
import { printableText } from '../format/text.ts'
import { formatWord } from '../format/word.ts'
import { io } from '../terminal/io.ts'
import { type Format, say, write, writeLine } from '../terminal/output.ts'
import { RowWriter } from '../terminal/table.ts'

interface WatchFlags {
  readonly prefix?: string | undefined
  readonly from?: number | undefined
  readonly prev?: true | undefined
  readonly only?: 'put' | 'delete' | undefined
  readonly exec?: true | undefined
}

export const command = ({ flags, argv }: ProgramContext) =>
  withExamples(new Command('watch'), [
    'kv watch greeting',
    'kv watch --prefix services/ --prev',
    "kv watch --prefix '' -o ndjson",
    'kv watch --prefix conf/ --from 41 --only put',
    'kv watch --prefix conf/ --exec -- ./reload.sh --now',
  ])
    .description('print every change of a key, or of all keys that begin with a prefix')
    .argument('[key]')
    .argument('[command...]', 'with --exec, after --')
    .option('--prefix <prefix>', "all keys that begin with it; '' are all keys")
    .option(
      '--from <revision>',
      'begin with the changes of this revision; otherwise with the next',
      parseRevision,
    )
    .option('--prev', 'also what the keys were before')
    .addOption(new Option('--only <change>', 'only these changes').choices(['put', 'delete'] as const))
    .option('--exec', 'run the command for each revision: its events as JSON on standard input, KV_REVISION')
    .action(async (key, more, options) => {
      const { words, command } = splitAtDashes([...(key === undefined ? [] : [key]), ...more], argv)
      await watch(flags(), words, command, options)
    })

/** `command`: the words after `--`. */
async function watch(
  globalFlags: GlobalFlags,
  words: readonly string[],
  command: readonly string[],
  flags: WatchFlags,
): Promise<void> {
  const place = parsePlace(words, command, flags)
  const { prefix, from, prev, only, exec } = flags
  await withContext(globalFlags, { kind: 'read' }, async ({ client, format, signal }) => {
    await using changes: Watch = client.watch({
      ...place,
      fromRevision: from,
      prev,
      only,
      signal,
      onResume: ({ endpoint, fromRevision, cause }) =>
        say(`the watch resumed at ${endpoint} from revision ${fromRevision}: ${cause.message}`),
    })
    try {
      const begun = await changes.ready
      if (io().stderr.isTTY === true && exec !== true)
        say(`watching ${prefix ?? words[0]} from revision ${from ?? begun + 1}; Ctrl-C ends it`)
      const handle =
        exec === true
          ? (batch: WatchBatch) => runOnce(command, batch.revision, toJsonLine(batchJson(batch)), signal)
          : await printer(format, prev === true)
      for await (const batch of changes) await handle(batch)
    } catch (error) {
      throw error instanceof CompactedError ? compactedFailure(error) : error
    }
  })
}

function parsePlace(words: readonly string[], command: readonly string[], { prefix, exec }: WatchFlags) {
  if (exec === true) checkCommand(command)
  const [key, more] = exec === true ? words : [...words, ...command]
  if (exec === true && command.length === 0)
    throw new Failure(EXIT.usage, '--exec needs a command after --, as in: --exec -- make reload')
  if (more !== undefined)
    throw new Failure(EXIT.usage, `it watches one key, or --prefix P; ${more} is one too many`)
  if (key !== undefined && prefix !== undefined)
    throw new Failure(EXIT.usage, 'a key and --prefix contradict each other')
  if (key !== undefined) return { key: keyArgument(key) }
  if (prefix === undefined)
    throw new Failure(EXIT.usage, "name a key, or --prefix P; --prefix '' watches all keys")
  return prefix === '' ? { all: true } : { prefix }
}

function compactedFailure({ resumeFrom, compactRevision, message }: CompactedError): Failure {
  const first = resumeFrom ?? (compactRevision === undefined ? undefined : compactRevision + 1)
  const next = first === undefined ? 'watch without --from' : `watch with --from ${first}`
  // The text behind the colon is for programs.
  return new Failure(
    EXIT.failed,
    `${message.split(': ')[0]}: read the keys anew (ls, export), and ${next} to continue`,
  )
}

async function printer(format: Format, prev: boolean): Promise<(batch: WatchBatch) => Promise<void>> {
  if (format === 'json') return (batch) => writeLine(toJson(batchJson(batch)))
  if (format === 'ndjson') return ({ revision, events }) => write(events.map(eventLine(revision)).join(''))
  if (format === 'plain') {
    return ({ revision, events }) =>
      write(events.map((event) => `${plainFields(revision, event, prev).join('\t')}\n`).join(''))
  }
  interface Row {
    readonly revision: number
    readonly event: WatchEvent
  }
  const table = new RowWriter<Row>(
    [
      { title: 'REVISION', cell: ({ revision }) => revision, alignRight: true },
      { title: 'CHANGE', cell: ({ event }) => event.type },
      { title: 'KEY', cell: ({ event }) => printableText(event.keyBytes), widthMin: KEY_WIDTH },
      { title: 'VALUE', cell: ({ event }) => shown(putValue(event)) },
      ...(prev ? [{ title: 'BEFORE', cell: ({ event }: Row) => shown(event.prev?.value) }] : []),
    ],
    format,
  )
  // The header shows that the watch has begun.
  await table.end()
  return async ({ revision, events }) => {
    for (const event of events) await table.add({ revision, event })
    await table.end()
  }
}

/** The header stands before the first key is known. */
const KEY_WIDTH = 24

const putValue = (event: WatchEvent) => (event.type === 'put' ? event.kv.value : undefined)
const shown = (value: Uint8Array | undefined) => (value === undefined ? undefined : printableText(value))

/** Bytes are words. No word is empty: an empty field is no value. */
function plainFields(revision: number, event: WatchEvent, prev: boolean): (string | number)[] {
  const bytesWord = (bytes: Uint8Array | undefined) => (bytes === undefined ? '' : formatWord(bytes))
  const fields = [revision, event.type, bytesWord(event.keyBytes), bytesWord(putValue(event))]
  return prev ? [...fields, bytesWord(event.prev?.value)] : fields
}

function batchJson({ revision, events }: WatchBatch): object {
  return { revision, events: events.map(eventJson) }
}

const eventLine = (revision: number) => (event: WatchEvent) =>
  `${toJsonLine({ revision, ...eventJson(event) })}\n`

export function eventJson(event: WatchEvent): object {
  const prev =
    event.prev === undefined ? {} : { prev: event.prev === null ? null : printedRecordJson(event.prev) }
  return event.type === 'put'
    ? { type: 'put', kv: printedRecordJson(event.kv), ...prev }
    : {
        ...{ type: 'delete', key: bytesDocument(event.keyBytes), mod_revision: event.modRevision },
        ...printedOrigin(event),
        ...prev,
      }
}
