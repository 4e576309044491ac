// kv service register|list|watch NAME: the instances of a service (src/recipes/registry.ts).

import { isObject } from '../../client/decode.ts'
import { Failure } from '../../local/failure.ts'
import { type Instance, registry } from '../../recipes/index.ts'
import { EXIT, endedBy, withinLease } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { leaveOutputTo, printable, RowWriter, say, toJson, writeLine } from '../output.ts'
import { inSession, type Session, untilImpatient } from '../session.ts'

const TTL_MS = 10_000

export interface RegisterFlags {
  readonly id?: string | undefined
  readonly weight?: number | undefined
  readonly meta?: string | undefined
  readonly ttl?: number | undefined
}

/** Until a signal, or until its id turns out to have no reader. */
export async function registerService(
  global: GlobalFlags,
  name: string,
  url: string,
  { id, weight, meta, ttl = TTL_MS }: RegisterFlags,
): Promise<void> {
  const metadata = meta === undefined ? undefined : metadataOf(meta)
  await inSession(global, { kind: 'write' }, async (session) => {
    const { client, leaveSignalsTo } = session
    const end = Promise.withResolvers<Failure | undefined>()
    const registering = new AbortController()
    let heard: NodeJS.Signals | undefined
    leaveSignalsTo((name) => {
      heard ??= name
      end.resolve(undefined)
      registering.abort()
    })
    const registration = await registry(client, name)
      .register({
        ...{ id, url, weight, meta: metadata, ttlMs: ttl, signal: registering.signal },
        onProblem: (error) => say(`warning: ${error instanceof Error ? error.message : String(error)}`),
      })
      .catch((error: unknown) => {
        throw heard === undefined ? error : endedBy(heard, 'no instance is kept alive')
      })
    let isRemoved = false
    try {
      leaveOutputTo((exitCode) => end.resolve(new Failure(exitCode, '')))
      await writeLine(registration.id)
      // The timer keeps the process alive: the keep-alives of a lease do not.
      const alive = setInterval(() => {}, 2 ** 30)
      const how = await end.promise
      clearInterval(alive)
      if (how !== undefined) throw how
    } finally {
      isRemoved = await untilImpatient(session, (signal) => registration.close({ signal }))
    }
    if (heard !== undefined)
      throw endedBy(heard, isRemoved ? 'the instance is removed' : `the instance goes ${withinLease(ttl)}`)
  })
}

export async function listServices(global: GlobalFlags, name: string): Promise<void> {
  await inSession(global, { kind: 'read' }, async (session) => {
    await print(session, await registry(session.client, name).list({ signal: session.signal }))
  })
}

/** All instances, again and again: a block for each change. Until Ctrl-C. */
export async function watchServices(global: GlobalFlags, name: string): Promise<void> {
  await inSession(global, { kind: 'read' }, async (session) => {
    const { client, format, signal } = session
    // Who watches waits for a cluster as long as it takes. A user wants to know soon that there is none.
    await registry(client, name).list({ signal })
    for await (const instances of registry(client, name).watch({ signal })) {
      if (format === 'ndjson' || format === 'json') await writeLine(JSON.stringify({ instances }))
      else {
        await print(session, instances)
        await writeLine('')
      }
    }
  })
}

async function print({ format }: Session, instances: readonly Instance[]): Promise<void> {
  if (format === 'json') return writeLine(toJson(instances))
  if (format === 'ndjson') {
    for (const instance of instances) await writeLine(JSON.stringify(instance))
    return
  }
  const table = new RowWriter<Instance>(
    [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'URL', cell: ({ url }) => url },
      { title: 'WEIGHT', cell: ({ weight }) => weight, alignRight: true },
      { title: 'META', cell: ({ meta }) => JSON.stringify(meta) },
    ],
    format,
  )
  for (const instance of instances) await table.add(instance)
  await table.end()
}

function metadataOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text)
    if (isObject(json)) return json
  } catch {
    // The message is the same.
  }
  throw new Failure(EXIT.usage, `--meta is a JSON object, such as '{"zone":"east"}', not ${printable(text)}`)
}
