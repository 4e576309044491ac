// kv service register|list|watch NAME: the instances of a service.

import { Command } from '@commander-js/extra-typings'
import { keepProcessAlive } from '../../client/timer.ts'
import { Failure } from '../../local/failure.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { isObject } from '../../operations/forms/decode.ts'
import { type Instance, registry } from '../../recipes/index.ts'
import { type CommandContext, untilSecondSignal, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT, endedBy } from '../exit-codes.ts'
import { parseLeaseTime, parseText, parseUrl, parseWeight } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { listRecipeNames } from '../flags/key-range.ts'
import { toJsonLine } from '../format/json.ts'
import { printableText, withinLease } from '../format/text.ts'
import { io } from '../terminal/io.ts'
import { onLostOutput, say, writeLine } from '../terminal/output.ts'
import { type Column, printList } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('service')
    .description('the instances of a service that run')
    .addCommand(
      withExamples(new Command('register'), [
        'kv service register api http://10.0.0.1:80',
        `kv service register api http://10.0.0.1:80 --weight 2 --meta '{"zone":"east"}'`,
      ])
        .description('register an instance until Ctrl-C; prints its id')
        .argument('<name>', 'of the service', parseText)
        .argument('<url>', 'of the instance', parseUrl)
        .option('--id <id>', 'of the instance; otherwise a random one', parseText)
        .option('--weight <number>', 'its share of what is resolved', parseWeight)
        .option('--meta <json>', 'an object')
        .option(
          '--ttl <duration>',
          'how long it is listed after its process has died; from 1s',
          parseLeaseTime,
        )
        .action((name, url, options) => registerService(flags(), name, url, options)),
    )
    .addCommand(
      withExamples(new Command('list'), ['kv service list', 'kv service list api'])
        .description('print the instances of a service, or of all services')
        .argument('[name]', 'of the service; otherwise all', parseText)
        .action((name) => listServices(flags(), name)),
    )
    .addCommand(
      withExamples(new Command('watch'), ['kv service watch api', 'kv service watch api -o ndjson'])
        .description('print the instances now and after each change, until Ctrl-C')
        .argument('<name>', 'of the service', parseText)
        .action((name) => watchServices(flags(), name)),
    )

const TTL_MS = 10_000

interface RegisterFlags {
  readonly id?: string | undefined
  readonly weight?: number | undefined
  readonly meta?: string | undefined
  readonly ttl?: number | undefined
}

/** Keeps the instance registered until a signal, or until the output is lost. */
async function registerService(
  global: GlobalFlags,
  name: string,
  url: string,
  { id, weight, meta, ttl = TTL_MS }: RegisterFlags,
): Promise<void> {
  const metadata = meta === undefined ? undefined : parseMetadata(meta)
  await withContext(global, { kind: 'write' }, async (context) => {
    const { client, forwardSignals } = context
    const end = Promise.withResolvers<Failure | undefined>()
    const registering = new AbortController()
    let received: NodeJS.Signals | undefined
    forwardSignals((name) => {
      received ??= name
      end.resolve(undefined)
      registering.abort()
    })
    const registration = await registry(client, name)
      .register({
        id,
        url,
        weight,
        meta: metadata,
        ttlMs: ttl,
        signal: registering.signal,
        onProblem: (error) => say(`warning: ${error instanceof Error ? error.message : String(error)}`),
      })
      .catch((error: unknown) => {
        throw received === undefined ? error : endedBy(received, 'no instance is kept alive')
      })
    let isRemoved = false
    try {
      onLostOutput((exitCode) => end.resolve(new Failure(exitCode, '')))
      await writeLine(registration.id)
      if (io().stderr.isTTY === true)
        say(`${registration.id} is registered as an instance of ${name}; Ctrl-C removes it`)
      const failure = await keepProcessAlive(end.promise)
      if (failure !== undefined) throw failure
    } finally {
      isRemoved = await untilSecondSignal(context, (signal) => registration.close({ signal }))
    }
    if (received !== undefined)
      throw endedBy(received, isRemoved ? 'the instance is removed' : `the instance goes ${withinLease(ttl)}`)
  })
}

async function listServices(global: GlobalFlags, name: string | undefined): Promise<void> {
  await withContext(global, { kind: 'read' }, async (context) => {
    const { client, format, signal } = context
    if (name !== undefined) {
      const instances = await registry(client, name).list({ signal })
      if (instances.length === 0 && format === 'table') say(`no instance of ${name} is registered`)
      return print(context, instances)
    }
    const all: NamedInstance[] = []
    for await (const service of listRecipeNames(client, 'service', signal)) {
      const instances = await registry(client, service).list({ signal })
      all.push(...instances.map((instance) => ({ service, ...instance })))
    }
    await printList<NamedInstance>(
      format,
      all,
      ({ service, ...instance }) => ({ service: bytesDocument(service), ...instance }),
      [{ title: 'SERVICE', cell: ({ service }) => printableText(service) }, ...COLUMNS],
    )
  })
}

type NamedInstance = Instance & { readonly service: Uint8Array }

/** Prints all instances now and after each change, until Ctrl-C. */
async function watchServices(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, { kind: 'read' }, async (context) => {
    const { client, format, signal } = context
    // A watch waits for a cluster without a limit. A user wants to know soon that there is none.
    await registry(client, name).list({ signal })
    for await (const instances of registry(client, name).watch({ signal })) {
      if (format === 'ndjson' || format === 'json') await writeLine(toJsonLine({ instances }))
      else {
        await print(context, instances)
        await writeLine('')
      }
    }
  })
}

async function print({ format }: CommandContext, instances: readonly Instance[]): Promise<void> {
  await printList<Instance>(format, instances, (instance) => instance, COLUMNS)
}

const COLUMNS: readonly Column<Instance>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'URL', cell: ({ url }) => url, keepsEnd: true },
  { title: 'WEIGHT', cell: ({ weight }) => weight, alignRight: true },
  { title: 'META', cell: ({ meta }) => JSON.stringify(meta) },
]

function parseMetadata(text: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text)
    if (isObject(json)) return json
  } catch {
    // The message is the same.
  }
  throw new Failure(EXIT.usage, `--meta is a JSON object, such as '{"zone":"east"}', not ${text}`)
}
