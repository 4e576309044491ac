// kv migrate --from | --to etcd://…: copies keys from a cluster of etcd, or to one, follows the changes, and compares
// both sides. The engine is in ../migrate.
//
// Transactions of the target go through etcd's API, also where the target is quorate: over HTTP, values are smaller.

import { Command } from '@commander-js/extra-typings'
import { type CallOptions, type Client, QuorateError } from '../../client/index.ts'
import type { EtcdClient } from '../../etcd-client/index.ts'
import { Cancellation, Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { type CommandContext, checkedByClient, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { formatError } from '../error-message.ts'
import { EXIT, errorExitCode } from '../exit-codes.ts'
import { parseUserName, readCredentials } from '../flags/credentials.ts'
import { type GlobalFlags, readTlsFiles } from '../flags/global-flags.ts'
import { type AccessCommands, accessCommands } from '../migrate/access-commands.ts'
import type { KeyDifference } from '../migrate/comparison.ts'
import { type EtcdAddress, parseEtcdAddress } from '../migrate/etcd-address.ts'
import { firstAnswer, isOtherProtocol } from '../migrate/first-answer.ts'
import type { MigrationEvent, MigrationResult } from '../migrate/migration.ts'
import { POSITIONS, readPosition } from '../migrate/position.ts'
import type { MigrationSurvey } from '../migrate/survey.ts'
import { keyText, TargetLimits } from '../migrate/target-limits.ts'
import { printJson, say } from '../terminal/output.ts'
import { byteCount, keyCount, ProgressDisplay } from '../terminal/progress.ts'
import { SAME_SIGNAL_MS } from '../terminal/stop-signals.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('migrate'), [
    'kv migrate --from etcd://10.0.0.1:2379,10.0.0.2:2379 --follow',
    'kv migrate --from etcds://10.0.0.1 --etcd-cacert etcd-ca.pem --prefix app/',
    'kv migrate --from etcd://10.0.0.1:2379,10.0.0.2:2379 --finish',
    'kv migrate --to etcd://127.0.0.1:2379 --etcd-user root --prefix app/ -o json',
  ])
    .description('copy keys from a cluster of etcd, or to one, and compare both sides')
    .option(
      '--from <address>',
      'copy from this etcd: etcd://HOST:PORT[,…], etcds:// with TLS',
      parseEtcdAddress,
    )
    .option('--to <address>', 'copy to this etcd', parseEtcdAddress)
    .option('--prefix <prefix>', 'only keys that begin with it (default: all keys)')
    .option('--follow', 'then copy every change, until Ctrl-C')
    .option('--dry-run', 'say what would be done, and change nothing')
    .option('--verify', 'only compare both sides, and change nothing')
    .option('--finish', 'close the migration if both sides are the same: later runs change nothing')
    .option(
      '--etcd-user <name[:password]>',
      'user of etcd; the password is that of KV_ETCD_PASSWORD, or typed',
    )
    .option('--etcd-cacert <file>', 'the CAs that sign the certificates of etcd, in PEM')
    .option('--etcd-cert <file>', 'certificate that is shown to etcd, in PEM')
    .option('--etcd-key <file>', 'its private key')
    .addHelpText('after', NOTES)
    .action((options) => run(flags(), options))

const NOTES = `
The other side is the cluster of --endpoints, --context or this directory, through etcd's API of its nodes.
The target must have no such keys yet. Keys, values and leases (with their ids) are copied as they were at
one revision, in the order of their revisions; then the changes since, each revision in one transaction of
the target (a backlog shares one). At the end both sides are compared at one revision of the source: exit
code 1 if they differ. Ctrl-C, SIGTERM and SIGHUP end --follow in this way; a second one breaks it off.

The position is a key of the target, ${POSITIONS}…. The same command continues from there, after
a crash or with later changes; a second run at the same time takes over from the first. It never replaces
what somebody else has written to the target: it ends and names such keys. When the clients of the source
are stopped, --finish closes the migration. Positions are never copied, in either direction.

Needed rights: read of the prefix in the source; readwrite of it and of ${POSITIONS} in the target.`

interface MigrateFlags {
  readonly from?: EtcdAddress | undefined
  readonly to?: EtcdAddress | undefined
  readonly prefix?: string | undefined
  readonly follow?: true | undefined
  readonly finish?: true | undefined
  readonly dryRun?: true | undefined
  readonly verify?: true | undefined
  readonly etcdUser?: string | undefined
  readonly etcdCacert?: string | undefined
  readonly etcdCert?: string | undefined
  readonly etcdKey?: string | undefined
}

/** How long each request is tried without --timeout: a fail-over of either side only delays it. */
const TIMEOUT_MS = 60_000
const CALLS_MAX = 64
const NAMED_MAX = 20
const INTENT = { kind: 'write', fromFiles: true } as const

async function run(global: GlobalFlags, flags: MigrateFlags): Promise<void> {
  const { from, to, prefix = '' } = flags
  const address = from ?? to
  if (address === undefined)
    throw new Failure(EXIT.usage, 'name a cluster of etcd, with --from or --to', [SEE])
  if (from !== undefined && to !== undefined)
    throw new Failure(EXIT.usage, '--from and --to contradict each other: one side is a cluster of quorate', [
      SEE,
    ])
  if ([flags.dryRun, flags.verify, flags.follow ?? flags.finish].filter((flag) => flag).length > 1)
    throw new Failure(EXIT.usage, '--dry-run and --verify change nothing: give one of them, alone', [SEE])
  if (prefix.startsWith(POSITIONS))
    throw new Failure(EXIT.usage, `keys that begin with ${POSITIONS} are positions of migrations: they stay`)
  const tls = etcdTls(address, flags)
  const etcdUser = await readCredentials({ user: flags.etcdUser }, 'KV_ETCD_PASSWORD')
  const needs = { timeoutMs: TIMEOUT_MS, unreachableAfterMs: TIMEOUT_MS, callsMax: CALLS_MAX }
  await withContext(
    global,
    INTENT,
    async (context) => {
      const { EtcdClient } = await import('../../etcd-client/index.ts')
      const { clientOptions } = context
      const etcd = checkedByClient(
        () =>
          new EtcdClient({
            ...etcdUser,
            endpoints: address.urls,
            tls,
            timeoutMs: clientOptions.timeoutMs,
            unreachableAfterMs: clientOptions.unreachableAfterMs,
            callsMax: CALLS_MAX,
            onWarning: (message) => say(`warning: ${message}`),
          }),
      )
      try {
        await migrateBetween(context, etcd, EtcdClient, flags, prefix)
      } catch (error) {
        throw isFromEtcd(error, address) ? etcdFailure(error, flags.etcdUser) : error
      } finally {
        await etcd.close()
      }
    },
    needs,
  )
}

const SEE = `See: ${PROGRAM} help migrate`

function etcdTls({ text, isSecure }: EtcdAddress, { etcdCacert, etcdCert, etcdKey }: MigrateFlags) {
  const tls = readTlsFiles({ cacert: etcdCacert, cert: etcdCert, key: etcdKey }, '--etcd-')
  if (tls !== undefined && !isSecure)
    throw new Failure(
      EXIT.usage,
      `${text} is without TLS: certificates need ${text.replace('etcd:', 'etcds:')}`,
    )
  return tls
}

async function migrateBetween(
  context: CommandContext,
  etcd: EtcdClient,
  Etcd: typeof EtcdClient,
  flags: MigrateFlags,
  prefix: string,
): Promise<void> {
  const { client, clientOptions, signal, timeoutMs } = context
  const { from } = flags
  const isFromEtcd = from !== undefined
  const settings = await firstAnswer('the cluster of quorate', timeoutMs, (options) =>
    client.settings({ ...options, signal }),
  )
  const own = await readClusterId(client, 10)
  const other = await firstAnswer('etcd', timeoutMs, (options) =>
    readClusterId(etcd, 16, { ...options, signal }),
  ).catch((error: unknown) => {
    throw error instanceof QuorateError ? etcdFailure(error, flags.etcdUser) : error
  })
  if (own !== undefined && own === other)
    throw new Failure(EXIT.failed, 'both sides are the same cluster: nothing was copied')
  const writer = isFromEtcd ? new Etcd({ ...clientOptions, endpoints: client.endpoints }) : etcd
  try {
    if (isFromEtcd) await checkEtcdApi(writer, timeoutMs)
    const sides = isFromEtcd
      ? { source: etcd, target: client, sourceId: other ?? '', limits: new TargetLimits(settings) }
      : { source: client, target: etcd, sourceId: own ?? '', limits: new TargetLimits() }
    const all = { ...sides, writer, prefix, timeoutMs }
    if (flags.verify) await verifyOnly(context, all)
    else if (flags.dryRun) await dryRun(context, flags, all)
    else await copyAndCompare(context, flags, all)
  } finally {
    if (writer !== etcd) await writer.close()
  }
}

/** Nodes without etcd's API do not speak gRPC. Other errors are those of the migration. */
async function checkEtcdApi(writer: EtcdClient, timeoutMs: number): Promise<void> {
  try {
    await firstAnswer("etcd's API of the cluster of quorate", timeoutMs, (options) => writer.cluster(options))
  } catch (error) {
    if (!isOtherProtocol(error)) throw error
    throw new Failure(
      EXIT.failed,
      `migrate writes through etcd's API, and the node does not serve it: ${String(Object(error).message)}`,
      ['Nothing was copied. A node serves it unless it was started with --no-etcd-api.'],
    )
  }
}

/** Undefined if the user may not read it. `radix`: of the text that the client shows. */
async function readClusterId(
  client: Client,
  radix: 10 | 16,
  options: CallOptions = {},
): Promise<string | undefined> {
  try {
    const { clusterId } = await client.cluster(options)
    return clusterId && String(BigInt(radix === 16 ? `0x${clusterId}` : clusterId))
  } catch (error) {
    if (error instanceof QuorateError && error.code === 'permission_denied') return undefined
    throw error
  }
}

interface Sides {
  readonly source: Client
  readonly sourceId: string
  readonly target: Client
  readonly writer: EtcdClient
  readonly limits: TargetLimits
  readonly prefix: string
  readonly timeoutMs: number
}

async function copyAndCompare(context: CommandContext, flags: MigrateFlags, sides: Sides): Promise<void> {
  const { migrate } = await import('../migrate/migration.ts')
  const { target, prefix } = sides
  const found = await readPosition(target, prefix, { signal: context.signal })
  if (flags.finish && found?.phase === 'finished' && found.source === sides.sourceId) {
    say(`the migration was finished at revision ${found.revision} of the source, at ${found.finishedAt}`)
    return
  }
  const report = new Report(flags)
  const stop = new AbortController()
  const giveUp = new AbortController()
  const signal = AbortSignal.any([context.signal, giveUp.signal])
  let result: MigrationResult
  try {
    result = await migrate({
      ...sides,
      signal,
      until: flags.follow ? stop.signal : undefined,
      finish: flags.finish,
      onEvent: (event) => {
        if (event.kind === 'following') context.forwardSignals(stopsFollowing(stop, giveUp, report))
        report.show(event)
      },
    })
  } catch (error) {
    report.clear()
    if (signal.aborted)
      throw new Cancellation(EXIT.interrupted, 'interrupted: the same command continues the migration')
    throw error
  }
  report.clear()
  const access = await accessCommands(sides.source, sideOf(flags), context.signal)
  await printResult(context, flags, result, access, report.seconds)
}

/** The side that is the target. */
const sideOf = ({ from }: MigrateFlags) => (from === undefined ? 'etcd' : 'quorate')

function sayAccess(access: AccessCommands): void {
  if (access.kind === 'denied')
    say('users and roles are not copied, and this user may not read those of the source')
  else if (access.lines.length > 0)
    say(
      ['users and roles are not copied; with new passwords, these commands make them:', ...access.lines].join(
        '\n',
      ),
    )
}

async function verifyOnly({ format, signal }: CommandContext, sides: Sides): Promise<void> {
  const { verify } = await import('../migrate/survey.ts')
  const result = await verify({ ...sides, signal })
  const { revision, newest, keys, leases, different, differences, outstanding } = result
  const json = { revision, newest, keys, leases, different, outstanding }
  const isPrinted = await printJson(format, {
    ...json,
    differences: differences.map(({ key, difference }) => ({ key: bytesDocument(key), difference })),
  })
  const later =
    newest > revision ? [`The source is at revision ${newest}: later changes were not compared.`] : []
  if (different > 0) throw differenceFailure(result, later)
  if (outstanding > 0)
    throw new Failure(
      EXIT.failed,
      `${keyCount(outstanding)} have changes in the source that are not copied yet`,
    )
  if (!isPrinted) say([sameText(keys, leases, revision), ...later].join('\n'))
}

async function dryRun(context: CommandContext, flags: MigrateFlags, sides: Sides): Promise<void> {
  const { survey } = await import('../migrate/survey.ts')
  const { format, signal } = context
  const found = await survey({ ...sides, signal })
  const access = await accessCommands(sides.source, sideOf(flags), signal)
  const { source, target, position, positionKey } = found
  const next = nextStep(found, sides.sourceId)
  const json = { source, target, position: position ?? null, position_key: positionKey, next: next.kind }
  const lines = access.kind === 'commands' ? access.lines : null
  const isPrinted = await printJson(format, { ...json, access_commands: lines })
  if (next.kind === 'refused') throw new Failure(EXIT.failed, next.text)
  if (isPrinted) return
  say(
    `the source has ${keyCount(source.keys)} (${byteCount(source.bytes)}, ${source.leases} leases) at revision ${source.revision}; ` +
      `the target has ${keyCount(target.keys)} of them, and is at revision ${target.revision}`,
  )
  say(next.text)
  if (target.revision <= source.revision && next.kind === 'begins')
    say('before, the revision of the target would be raised above that of the source')
  sayAccess(access)
}

function nextStep(
  { source, target, position }: MigrationSurvey,
  sourceId: string,
): { readonly kind: 'begins' | 'continues' | 'finished' | 'refused'; readonly text: string } {
  if (position !== undefined && position.source !== sourceId)
    return {
      kind: 'refused',
      text: `a run would be refused: the target has keys of a migration from cluster ${position.source}`,
    }
  if (position?.phase === 'finished')
    return { kind: 'finished', text: 'the migration is finished: a run would change nothing' }
  if (position !== undefined)
    return { kind: 'continues', text: `a run would continue at revision ${position.revision} of the source` }
  if (target.keys > 0)
    return { kind: 'refused', text: 'a run would be refused: the target has such keys, from no migration' }
  return { kind: 'begins', text: `a run would copy ${keyCount(source.keys)}` }
}

const sameText = (keys: number, leases: number, revision: number): string => {
  const ofLeases = leases === 0 ? '' : leases === 1 ? ' and 1 lease' : ` and ${leases} leases`
  return `both sides have the same ${keyCount(keys)}${ofLeases}, at revision ${revision} of the source`
}

/** The first signal ends following; one some time later gives up. */
function stopsFollowing(stop: AbortController, giveUp: AbortController, report: Report): () => void {
  let stoppedAt: number | undefined
  return () => {
    const now = performance.now()
    if (stoppedAt === undefined) {
      stoppedAt = now
      report.clear()
      say('copying the last changes, and comparing both sides')
      stop.abort()
    } else if (now - stoppedAt >= SAME_SIGNAL_MS) giveUp.abort()
  }
}

/** Messages and progress on stderr while a migration runs. */
class Report {
  readonly #progress = new ProgressDisplay()
  readonly #sides: string
  #keys = 0
  #changes = 0

  constructor({ from, to }: MigrateFlags) {
    this.#sides = from === undefined ? `to ${to?.text}` : `from ${from.text}`
  }

  get seconds(): number {
    return this.#progress.seconds
  }

  clear(): void {
    this.#progress.clear()
  }

  show(event: MigrationEvent): void {
    switch (event.kind) {
      case 'resumed': {
        const { phase, copied, revision } = event.position
        const at = phase === 'copy' ? `, with ${keyCount(copied)} copied` : ''
        this.#say(`the migration continues at revision ${revision} of the source${at}`)
        break
      }
      case 'copying':
        this.#keys = event.keys
        this.#say(
          `copying ${keyCount(event.keys - event.copied)} ${this.#sides}, as of revision ${event.revision}`,
        )
        break
      case 'raised':
        break
      case 'below':
        this.#say(belowText(event))
        break
      case 'following':
        this.#say(`following the changes after revision ${event.revision}; Ctrl-C ends it`)
        break
      case 'caught-up':
        this.#say(`caught up with revision ${event.revision}`)
        break
      case 'moved': {
        const { phase, copied, revision } = event.position
        if (phase === 'follow') this.#changes += event.changes
        this.#progress.show(() =>
          phase === 'copy'
            ? `copied ${copied} of ${keyCount(this.#keys)}`
            : `at revision ${revision}, ${this.#changes} changes`,
        )
        break
      }
      case 'compacted':
        this.#say('the source has compacted what is needed next: the differences are copied instead')
        break
      case 'split':
        this.#say(
          `warning: revision ${event.revision} has ${event.changes} changes, too many for one transaction: ` +
            'the target has had a part of them for a moment',
        )
        break
      case 'comparing':
        this.#progress.show(() => 'comparing both sides')
        break
      case 'compared':
        this.#progress.show(() => `compared ${keyCount(event.keys)}`)
    }
  }

  #say(text: string): void {
    this.clear()
    say(text)
  }
}

async function printResult(
  { format }: CommandContext,
  { from, prefix = '' }: MigrateFlags,
  result: MigrationResult,
  access: AccessCommands,
  seconds: number,
): Promise<void> {
  const { revision, keys, leases, copied, changes, different, differences, positionKey } = result
  const json = {
    ...{ revision, keys, leases, copied, changes, different },
    differences: differences.map(({ key, difference }) => ({ key: bytesDocument(key), difference })),
    position_key: positionKey,
    revisions_above: result.isAbove,
    access_commands: access.kind === 'commands' ? access.lines : null,
    finished: result.isFinished,
    seconds: Number(seconds.toFixed(3)),
  }
  const isPrinted = await printJson(format, json)
  if (!isPrinted)
    say(
      `copied ${keyCount(copied)} and ${changes === 1 ? '1 change' : `${changes} changes`} in ${seconds.toFixed(1)} s`,
    )
  const remove = from === undefined ? `etcdctl del ${positionKey}` : `${PROGRAM} del ${positionKey}`
  if (different > 0)
    throw differenceFailure(
      result,
      differences.some(({ isForeign }) => isForeign)
        ? [
            `If clients use the target now, the migration is over: \`${remove}\` ends it.`,
            'If they must not, stop them and put back what they have changed. Then the same command continues.',
          ]
        : [
            `To begin anew, delete ${prefix === '' ? 'the keys of the target' : `the keys of the target below ${prefix}`} and ${positionKey}.`,
          ],
    )
  if (isPrinted) return
  sayAccess(access)
  say(sameText(keys, leases, revision))
  if (result.newest > revision && !result.isFinished)
    say(`the source is at revision ${result.newest} by now: later changes were not compared`)
  if (result.isFinished) say(`the migration is finished: the same command changes nothing any more`)
  else
    say(
      `the same command copies later changes; when no client writes to the source any more, --finish closes the migration`,
    )
}

interface ComparedSides {
  /** Number of keys in the source. */
  readonly keys: number
  readonly revision: number
  readonly different: number
  /** First of the keys that differ, at most as many as the comparison keeps. */
  readonly differences: readonly (Pick<KeyDifference, 'key' | 'difference'> & Partial<KeyDifference>)[]
}

/** Failure of a comparison, with the first keys that differ. `next` follows them: what the user can do. */
function differenceFailure(
  { keys, revision, different, differences }: ComparedSides,
  next: readonly string[],
): Failure {
  const named = differences.slice(0, NAMED_MAX)
  const more = different - named.length
  return new Failure(
    EXIT.failed,
    `${different} of ${keyCount(keys)} differ at revision ${revision} of the source`,
    [
      ...named.map(
        ({ key, difference, isForeign }) =>
          `${keyText(key)}: ${DIFFERENCES[difference]}${isForeign ? BY_OTHERS : ''}`,
      ),
      ...(more > 0 ? [`and ${more} more`] : []),
      ...next,
    ],
  )
}

/** Warning before anything is copied. */
const belowText = ({ revision, source, reason }: Extract<MigrationEvent, { kind: 'below' }>): string =>
  `warning: the target is at revision ${revision}, and the source at ${source}` +
  `${reason === undefined ? '' : ` (${reason})`}: tokens of locks begin lower there, new items of queues come before ` +
  'copied ones, and subscribers of topics get missed: true'

const BY_OTHERS = ', changed by somebody else'

const DIFFERENCES = {
  missing: 'not in the target',
  extra: 'only in the target',
  value: 'another value in the target',
  lease: 'another lease in the target',
} as const

/** Whether the error names a member of etcd. */
function isFromEtcd(error: unknown, { urls }: EtcdAddress): error is QuorateError {
  if (!(error instanceof QuorateError)) return false
  const { endpoint, message } = error
  return endpoint === undefined ? urls.some((url) => message.includes(url)) : urls.includes(endpoint)
}

function etcdFailure(error: QuorateError, user: string | undefined): Failure {
  const text = formatError(error, INTENT, 'etcd', user && parseUserName(user))
  return new Failure(errorExitCode(error, INTENT), `etcd: ${text}`)
}
