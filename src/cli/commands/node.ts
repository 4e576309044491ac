// `kv node start`: one node in this process, for clusters with each node on a separate machine or in a separate
// container.
//
// The node runs in the started process itself, so a service manager or a test has the right pid. The disadvantage: if
// LevelDB aborts on damaged files (SIGABRT, SIGBUS), no process is left to explain it. A service manager then shows
// exit status 134 or 135, which docs/guides/membership.md explains. The supervisor of a local cluster explains it
// itself.

import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings'
import { isBucket } from '../../backup/target.ts'
import { Failure, failureMessage, failureReason, isSystemError } from '../../local/failure.ts'
import {
  type Founding,
  type ListenAddress,
  type NodeOptions,
  NodeStartError,
  type RunningNode,
} from '../../server/options.ts'
import { lowerJitThreshold } from '../../server/process/jit-threshold.ts'
import { keepHeapSmall } from '../../server/process/small-heap.ts'
import { hostPort } from '../../system/addresses.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { listenAddress, parseNodeNumber, peerAddress, url, urls } from '../flags/address-values.ts'
import { readAuthorization } from '../flags/credentials.ts'
import {
  directory,
  LOG_FORMATS,
  LOG_LEVELS,
  type LogLevel,
  parseProgress,
  parseTimeout,
  parseTiming,
  parseTokenTime,
} from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { io, userPath } from '../terminal/io.ts'
import { sayLast } from '../terminal/output.ts'
import { onStopSignals, type StopSignal } from '../terminal/stop-signals.ts'
import { setupCommand } from './node-setup.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('node')
    .description('run a single node, or set up a machine for it')
    .addCommand(startCommand(flags))
    .addCommand(setupCommand())

function startCommand(globalFlags: ProgramContext['flags']) {
  return withExamples(new Command('start'), [
    'kv node start --name n1 --data d1 --listen 127.0.0.1:7301 --peer-listen 127.0.0.1:7401 --bootstrap',
    'kv node start --name n2 --data d2 --listen 127.0.0.1:7302 --peer-listen 127.0.0.1:7402 --join http://127.0.0.1:7301',
  ])
    .description('run one node in the foreground')
    .requiredOption('--name <name>', 'its name in the cluster: 1 to 63 of a-z, 0-9 and -')
    .requiredOption('--data <dir>', 'its data directory; no other node may use it', directory)
    .requiredOption('--listen <host:port>', 'where clients reach it', listenAddress)
    .requiredOption('--peer-listen <host:port>', 'where the other nodes reach it', listenAddress)
    .option(
      '--metrics-listen <host:port>',
      'where /livez, /readyz and /metrics are served over plain HTTP, to anybody; may be given several times',
      listenAddresses,
    )
    .option('--bootstrap', 'found a new cluster with an empty directory: once per cluster, by hand')
    .option(
      '--join <urls>',
      'join a cluster through these nodes, joined by commas; ignored once it is a member',
      urls,
    )
    .option('--replace', 'with --join: take the place of the lost replica of the same name')
    .option(
      '--advertise-peer <host:port>',
      'the address for the other nodes, instead of --peer-listen',
      peerAddress,
    )
    .option('--advertise-url <url>', 'the address for clients, instead of --listen', url)
    .option('--tls-cert <file>', 'certificate of the client port, in PEM: it speaks only TLS then')
    .option('--tls-key <file>', 'its private key, which only its owner can read')
    .option('--tls-ca <file>', 'the CAs that sign the certificates of clients')
    .option('--tls-crl <file>', 'certificates that these CAs have revoked')
    .addOption(
      new Option('--client-cert <rule>', 'whether clients need a certificate (default: optional)').choices([
        'optional',
        'required',
      ] as const),
    )
    .option('--peer-tls-cert <file>', 'certificate for connections between nodes, in PEM')
    .option('--peer-tls-key <file>', 'its private key')
    .option('--peer-tls-ca <file>', 'the CAs that sign the certificates of nodes')
    .option('--peer-tls-crl <file>', 'certificates that these CAs have revoked')
    .option(
      '--insecure',
      'allow addresses beyond this machine without TLS, and serve clients of other machines without authentication',
    )
    .option('--allowed-host <name...>', 'host names under which browsers may reach it')
    .option('--cors-origin <origin...>', 'web origins that may use it')
    .option('--no-etcd-api', 'do not serve clients of etcd')
    .option(
      '--watch-progress-notify-interval <duration>',
      'how often a watch of etcd that requests progress receives it (default: 5s)',
      parseProgress,
    )
    .option('--audit-log <file>', 'append a line of JSON for each change and each refusal')
    .addOption(
      new Option('--audit <operations>', 'what the audit log has')
        .choices(['changes', 'all'])
        .default('changes'),
    )
    .option('--heartbeat <duration>', 'how often the leader sends a heartbeat (default: 50ms)', parseTiming)
    .option(
      '--election-timeout <duration>',
      'silence after which a follower campaigns; drawn from this to its double (default: 500ms)',
      parseTiming,
    )
    .option(
      '--disk-reserve <size>',
      'free disk space below which changes other than deletes are refused (default: 256MiB)',
      sizeInBytes,
    )
    .option(
      '--connections <count>',
      'clients connected at most (default: 10000, or what open files allow)',
      parseNodeNumber,
    )
    .option(
      '--write-stall <duration>',
      'cut clients that take nothing of an answer for this long (default: 10s)',
      parseTimeout,
    )
    .option(
      '--auth-token-ttl <duration>',
      'how long a token of a login lives after its last use at this node (default: 10m)',
      parseTokenTime,
    )
    .option(
      '--backup-to <dir>',
      'make backups of the cluster while this node leads: in a directory, or s3://BUCKET/PREFIX',
      directory,
    )
    .option('--backup-every <duration>', 'how old the newest backup may be (default: 1h)', parseTimeout)
    .option('--backup-keep <count>', 'how many backups are kept (default: 24)', parseNodeNumber)
    .option(
      '--discard-suspect-tail',
      'accept a damaged last record as never written; safe for a minority of the nodes only',
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged').choices(LOG_LEVELS).default('info' as const),
    )
    .addOption(
      new Option('--log-format <format>', 'default: text on a terminal, else json').choices(LOG_FORMATS),
    )
    .action(async (flags) => {
      const { nodeLog } = await import('../node-log.ts')
      const founding = await parseFounding(flags, globalFlags())
      await run(flags.logLevel, {
        name: flags.name,
        dataDir: userPath(flags.data),
        listen: flags.listen,
        peerListen: flags.peerListen,
        metricsListen: flags.metricsListen,
        founding,
        insecure: flags.insecure === true,
        ...tlsFromFlags(flags),
        discardSuspectTail: flags.discardSuspectTail === true,
        allowedHosts: flags.allowedHost ?? [],
        corsOrigins: flags.corsOrigin ?? [],
        etcdApi: flags.etcdApi,
        auditLog:
          flags.auditLog === undefined
            ? undefined
            : { file: userPath(flags.auditLog), operations: flags.audit },
        logger: nodeLog(flags.name, flags.logLevel, flags.logFormat),
        advertisePeer: flags.advertisePeer,
        advertiseUrl: flags.advertiseUrl,
        timing: timingFromFlags(flags.heartbeat, flags.electionTimeout),
        httpLimits: {
          connectionsMax: flags.connections,
          writeStallMsMax: flags.writeStall && Math.ceil(flags.writeStall),
          etcdProgressMs: flags.watchProgressNotifyInterval && Math.ceil(flags.watchProgressNotifyInterval),
          authTokenMs: flags.authTokenTtl && Math.ceil(flags.authTokenTtl),
        },
        backup: backupFromFlags(flags),
        diskReserveBytes: flags.diskReserve,
      })
    })
}

async function run(level: LogLevel, options: NodeOptions): Promise<never> {
  const { startNode } = await import('../../server/start/start-node.ts')
  // Also during the start: a node that looks for its cluster ends on Ctrl-C.
  let stopSignal: StopSignal | undefined
  let node: RunningNode | undefined
  const hasFiles =
    options.tls !== undefined || options.peerTls !== undefined || options.auditLog !== undefined
  onStopSignals(
    (signal) => {
      stopSignal = signal
      options.logger?.info({ signal }, 'stopping')
      if (node === undefined) return io().exit(signal === 'SIGINT' ? EXIT.interrupted : EXIT.ok)
      void node.stop()
    },
    () => io().exit(EXIT.failed),
    // A closed terminal sends it too, and then the node stops.
    hasFiles && io().stderr.isTTY !== true ? () => readAgain(node) : undefined,
  )
  // The log has its stack. Then the process ends (main.ts).
  process.prependListener('uncaughtException', (error) =>
    options.logger?.error({ err: error }, `the node failed: ${error.message}`),
  )
  keepHeapSmall()
  lowerJitThreshold()
  try {
    node = await startNode(options)
  } catch (error) {
    const isUsage = error instanceof NodeStartError && error.usage
    // The messages of other errors, as for damaged files, explain themselves.
    return leave(isUsage ? EXIT.usage : EXIT.failed, whyNotListening(error, options) ?? failureMessage(error))
  }
  options.logger?.info({ url: node.url, peer: node.peer, pid: process.pid }, 'serving')
  const end = await node.ended
  if (end.kind === 'failed' || stopSignal === undefined) {
    // The log says why a node fails. People read that on the terminal; elsewhere the last line says it as well.
    const isSaid = io().stderr.isTTY === true && level !== 'silent'
    return leave(end.usage === true ? EXIT.usage : EXIT.failed, isSaid ? undefined : end.reason)
  }
  options.logger?.info({}, end.reason)
  return leave(stopSignal === 'SIGINT' ? EXIT.interrupted : EXIT.ok)
}

function readAgain(node: RunningNode | undefined): void {
  node?.reopenAuditLog()
  void node?.rereadCertificates()
}

const ADDRESS_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'end the program that listens there, or choose another port',
  EADDRNOTAVAIL:
    'it must be an address of this machine; to announce another one, use --advertise-url and --advertise-peer',
  EACCES: 'choose a port from 1024 on',
}

/** undefined: it failed for another reason. */
function whyNotListening(
  error: unknown,
  { listen, peerListen, metricsListen = [] }: NodeOptions,
): string | undefined {
  if (!isSystemError(error) || !['listen', 'bind', 'getaddrinfo'].includes(error.syscall ?? ''))
    return undefined
  const failed: typeof error & { readonly port?: number; readonly hostname?: string } = error
  const isIt = ({ host, port }: ListenAddress): boolean =>
    failed.hostname === undefined ? failed.port === port : failed.hostname === host
  const metrics = metricsListen.find(isIt)
  const [flag, address] = isIt(listen)
    ? ['--listen', listen]
    : metrics === undefined
      ? ['--peer-listen', peerListen]
      : ['--metrics-listen', metrics]
  const hint = ADDRESS_HINTS[error.code ?? '']
  const reason = `cannot listen on ${hostPort(address)} (${flag}): ${failureReason(error)}`
  return hint === undefined ? reason : `${reason}; ${hint}`
}

/**
 * Ends the process soon. If the reader of stderr has stopped, the process would otherwise stay without a node, and no
 * service manager would restart it.
 */
async function leave(exitCode: number, lastWords?: string): Promise<never> {
  if (lastWords !== undefined) await sayLast(`error: ${lastWords}`)
  return io().exit(exitCode)
}

async function parseFounding(
  flags: { bootstrap?: true; join?: readonly string[]; replace?: true },
  globalFlags: GlobalFlags,
): Promise<Founding> {
  if (flags.bootstrap && flags.join) {
    throw new Failure(
      EXIT.usage,
      '--bootstrap founds a new cluster, --join enters one that exists: give one of them',
    )
  }
  if (flags.replace && !flags.join) throw new Failure(EXIT.usage, '--replace needs --join')
  if (flags.bootstrap) return { kind: 'bootstrap' }
  if (flags.join === undefined) return { kind: 'existing' }
  const authorization = await readAuthorization(globalFlags)
  return { kind: 'join', urls: flags.join, replace: flags.replace === true, authorization }
}

interface TlsFlags {
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsCa?: string
  readonly tlsCrl?: string
  readonly clientCert?: 'optional' | 'required'
  readonly peerTlsCert?: string
  readonly peerTlsKey?: string
  readonly peerTlsCa?: string
  readonly peerTlsCrl?: string
}

function tlsFromFlags(flags: TlsFlags): Pick<NodeOptions, 'tls' | 'peerTls'> {
  const { tlsCert, tlsKey, tlsCa, tlsCrl, clientCert, peerTlsCert, peerTlsKey, peerTlsCa, peerTlsCrl } = flags
  const others = { ca: resolvePath(tlsCa), crl: resolvePath(tlsCrl), clientCert }
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new Failure(EXIT.usage, '--tls-cert and --tls-key go together')
  if (tlsCert === undefined && Object.values(others).some((value) => value !== undefined))
    throw new Failure(EXIT.usage, '--tls-ca, --tls-crl and --client-cert need --tls-cert and --tls-key')
  const given = [peerTlsCert, peerTlsKey, peerTlsCa].filter((file) => file !== undefined).length
  if (given !== 0 && given !== 3)
    throw new Failure(EXIT.usage, '--peer-tls-cert, --peer-tls-key and --peer-tls-ca go together')
  if (given === 0 && peerTlsCrl !== undefined)
    throw new Failure(EXIT.usage, '--peer-tls-crl needs --peer-tls-cert, --peer-tls-key and --peer-tls-ca')
  return {
    tls:
      tlsCert === undefined || tlsKey === undefined
        ? undefined
        : { cert: userPath(tlsCert), key: userPath(tlsKey), ...others },
    peerTls:
      peerTlsCert === undefined || peerTlsKey === undefined || peerTlsCa === undefined
        ? undefined
        : {
            cert: userPath(peerTlsCert),
            key: userPath(peerTlsKey),
            ca: userPath(peerTlsCa),
            crl: resolvePath(peerTlsCrl),
          },
  }
}

const resolvePath = (file: string | undefined): string | undefined => file && userPath(file)

function backupFromFlags(flags: {
  backupTo?: string
  backupEvery?: number
  backupKeep?: number
}): NodeOptions['backup'] {
  const { backupTo, backupEvery = 3_600_000, backupKeep = 24 } = flags
  if (backupTo !== undefined) {
    const to = isBucket(backupTo) ? backupTo : userPath(backupTo)
    return { to, everyMs: backupEvery, keep: backupKeep }
  }
  if (flags.backupEvery === undefined && flags.backupKeep === undefined) return undefined
  throw new Failure(EXIT.usage, '--backup-every and --backup-keep need --backup-to')
}

function timingFromFlags(
  heartbeatMs: number | undefined,
  electionMs: number | undefined,
): NodeOptions['timing'] {
  return {
    heartbeatMs,
    failoverDelayMaxMs: heartbeatMs,
    electionMinMs: electionMs,
    electionMaxMs: electionMs && 2 * electionMs,
  }
}

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }

function sizeInBytes(text: string): number {
  const [, amount, unit = ''] = /^([0-9]{1,12})(KiB|MiB|GiB)?$/.exec(text.trim()) ?? []
  const bytes = Number(amount) * (UNIT_BYTES[unit] ?? 1)
  if (!Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError(
      'it must be a whole number of bytes, or one with KiB, MiB or GiB, as 512MiB',
    )
  }
  return bytes
}

const listenAddresses = (text: string, before: readonly ListenAddress[] = []): readonly ListenAddress[] => [
  ...before,
  listenAddress(text),
]
