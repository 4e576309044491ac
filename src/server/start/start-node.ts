// Starts one node: data directory, driver, peer network, client port, in this order. Ends them in reverse order.

import { realpathSync } from 'node:fs'
import { totalmem } from 'node:os'
import { resolve } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { types } from 'node:util'
import { parseBackupTarget } from '../../backup/target-of.ts'
import { modeOpenToOthers } from '../../files/private-directory.ts'
import { encodeState, initialState, stateBeforeSnapshot, UnknownKindError } from '../../kv/index.ts'
import {
  asIndex,
  asReplicaId,
  assertNever,
  asTerm,
  bootstrapConfiguration,
  emptyConfiguration,
  encodeAppliedState,
  type InFlightCounts,
  type RaftMember,
  type ReplicaId,
} from '../../raft/index.ts'
import { formatStorage, inspectDirectory, isInUse, openStorage } from '../../storage/directory.ts'
import { FORMAT_VERSION, type Identity, isDiskFull, type Storage } from '../../storage/index.ts'
import { checkListenAddress, hostPort } from '../../system/addresses.ts'
import { randomId } from '../../system/random-id.ts'
import { version } from '../../system/version.ts'
import { Api } from '../api/api.ts'
import { Audit } from '../api/audit.ts'
import { writeStatus } from '../api/member-reports.ts'
import { AuditFile } from '../audit/audit-file.ts'
import { ClientListener } from '../listener/client-listener.ts'
import { httpLimits } from '../listener/limits.ts'
import { MetricsListener } from '../listener/metrics-listener.ts'
import { DirectoryDisk } from '../node/directory-disk.ts'
import { Driver } from '../node/driver.ts'
import { KeyIndex, keyIndexLimits, rowHeadsFor } from '../node/key-index/key-index.ts'
import type { KvNode } from '../node/kv-node.ts'
import { raftLimits, raftTiming } from '../node/limits.ts'
import type { ReportKind } from '../node/network.ts'
import { Metrics } from '../node/observe/metrics.ts'
import { systemClock } from '../node/system-clock.ts'
import type { Logger, NodeEnd, RunningNode } from '../options.ts'
import { type ListenAddress, NodeStartError } from '../options.ts'
import { LINK_LIMITS } from '../peers/index.ts'
import { createTcpNetwork, type TcpNetwork } from '../peers/tcp/index.ts'
import type { NodeCertificates } from '../tls/node-certificates.ts'
import { backupRoom } from './backup-room.ts'
import { BackupSchedule } from './backup-schedule.ts'
import { NodeHost } from './host-status.ts'
import { discoverCluster, join } from './join.ts'
import type { StartOptions } from './start-options.ts'
import {
  allowedHostsFrom,
  checkStartOptions,
  driverLimitsFrom,
  resolveStartOptions,
  servedClients,
  timingFrom,
  withoutUndefined,
} from './start-options.ts'

export { StorageInUseError } from '../../storage/index.ts'

export interface ServingNode extends RunningNode {
  readonly api: KvNode
  /**
   * The work in flight in driver, core, links and HTTP, by name. All numbers are 0 at rest with no client connected.
   */
  inspect(): InFlightCounts
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * Wraps a logger and ignores its errors, for example when the disk of the log is full. Such an error would interrupt a
 * step of the node.
 */
function ignoringErrors(logger: Logger): Logger {
  const logMethod =
    (level: keyof Logger) =>
    (fields: object, message: string): void => {
      try {
        const logged: unknown = logger[level](fields, message)
        if (types.isPromise(logged)) logged.catch(() => {})
      } catch {
        // There is no other place to report it.
      }
    }
  return {
    debug: logMethod('debug'),
    info: logMethod('info'),
    warn: logMethod('warn'),
    error: logMethod('error'),
  }
}

/** Timeout of one attempt to announce a changed address. */
const ANNOUNCE_TIMEOUT_MS = 5_000
const ANNOUNCE_INTERVAL_MS = 50

/**
 * Starts a node. Resolves when it listens; joining a cluster continues in the background. A start that fails for its
 * options or its listen addresses has formatted nothing.
 */
export async function startNode(startOptions: StartOptions): Promise<ServingNode> {
  checkStartOptions(startOptions)
  const logger = startOptions.logger === undefined ? silent : ignoringErrors(startOptions.logger)
  const certificates = await openCertificates(startOptions, logger)
  let auditFile: AuditFile | undefined
  try {
    auditFile = await openAuditFile(startOptions, logger)
    return await startWith(startOptions, logger, { certificates, auditFile })
  } catch (error) {
    certificates?.close()
    await auditFile?.close()
    throw error
  }
}

/** Files that a node opens beside its data directory. */
interface NodeFiles {
  readonly certificates: NodeCertificates | undefined
  readonly auditFile: AuditFile | undefined
}

/** Loads TLS only for nodes that use it. */
async function openCertificates(
  options: StartOptions,
  logger: Logger,
): Promise<NodeCertificates | undefined> {
  if (options.tls === undefined && options.peerTls === undefined) return undefined
  const { NodeCertificates } = await import('../tls/node-certificates.ts')
  return NodeCertificates.open(options, logger)
}

async function startWith(startOptions: StartOptions, logger: Logger, files: NodeFiles): Promise<ServingNode> {
  // Discovery takes time, and the application may change its working directory.
  const dataDir = resolve(startOptions.dataDir)
  const fail = (error: unknown): never => {
    throw startError(dataDir, error)
  }
  await prepareDirectory({ ...startOptions, dataDir }, logger, files.certificates?.requests).catch(fail)
  // LevelDB opens files by their path. Links on the path may change later, for example in a deployment.
  const options = {
    ...startOptions,
    dataDir: realpathSync(dataDir),
    backup: resolveStartOptions(startOptions.backup),
  }
  // LevelDB writes when it opens, so the reserve file is deleted first, unless another process runs on this directory.
  const disk = new DirectoryDisk(options.dataDir)
  const isShort = disk.hasReserve && disk.freeBytes() < driverLimitsFrom(options).diskReserveBytes
  if (isShort && !isInUse(options.dataDir)) disk.giveBackReserve()
  const storage = await openStorage(options.dataDir, {
    discardSuspectTail: options.discardSuspectTail ?? false,
    name: options.name,
    index: KeyIndex.of({ ...keyIndexLimits, rowHeads: rowHeadsFor(memoryBytes()) }),
  }).catch(fail)
  // The file may be incomplete, or have another size than this process needs.
  disk.giveBackReserve()
  let node: Node
  try {
    node = new Node(options, storage, logger, files)
  } catch (error) {
    // The node that would close it does not exist.
    await new Promise<void>((resolve) => storage.close(() => resolve()))
    throw startError(dataDir, error)
  }
  try {
    await node.start()
  } catch (error) {
    await node.crash()
    throw error
  }
  return node
}

class Node implements ServingNode {
  readonly api: Driver
  readonly ended: Promise<NodeEnd>
  readonly #options: StartOptions
  readonly #storage: Storage
  readonly #logger: Logger
  readonly #metrics = new Metrics()
  readonly #certificates: NodeCertificates | undefined
  #network: TcpNetwork | undefined
  #listener: ClientListener | undefined
  readonly #metricsListeners: MetricsListener[] = []
  readonly #auditFile: AuditFile | undefined
  #audit: Audit | undefined
  #url = ''
  readonly #host: NodeHost
  #over = false
  #stopping: Promise<void> | undefined
  #resolveEnded: (end: NodeEnd) => void = () => {}

  constructor(
    options: StartOptions,
    storage: Storage,
    logger: Logger,
    { certificates, auditFile }: NodeFiles,
  ) {
    this.#options = options
    this.#certificates = certificates
    this.#storage = storage
    this.#logger = logger
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#auditFile = auditFile
    const disk = new DirectoryDisk(options.dataDir)
    this.#host = new NodeHost(disk, certificates)
    this.api = new Driver({
      clock: systemClock,
      storage,
      timing: timingFrom(options),
      raftLimits,
      limits: driverLimitsFrom(options),
      disk,
      random: Math.random,
      logger,
      observer: this.#metrics,
      onRoleChange: () => this.#listener?.roleChanged(),
      peerAddress: () => this.peer,
      host: this.#host,
      reports: (kind, done) => void this.#makeReport(kind).then(done, () => done(undefined)),
      onEnd: (end) => void this.#finish(end),
    })
  }

  get url(): string {
    return this.#options.advertiseUrl ?? this.#url
  }

  get metricsUrls(): readonly string[] {
    return this.#metricsListeners.map(({ url }) => url)
  }

  get peer(): string {
    return this.#options.advertisePeer ?? this.#network?.address ?? ''
  }

  async start(): Promise<void> {
    const { peerListen, listen, resolvePeer, corsOrigins = [] } = this.#options
    const { identity } = this.#storage
    const { electionMaxMs } = timingFrom(this.#options)
    this.#network = await createTcpNetwork({
      self: { replicaId: identity.replicaId, clusterId: identity.clusterId },
      listen: peerListen,
      events: this.api.events,
      logger: this.#logger,
      tls: this.#certificates?.peers,
      limits: { silenceMs: Math.max(LINK_LIMITS.silenceMs, 3 * electionMaxMs) },
      ...(resolvePeer === undefined ? {} : { resolvePeer }),
    })
    const { counters } = this.#network.links
    const certificates = this.#certificates
    if (certificates !== undefined) this.#metrics.watchTls(() => certificates.expiries())
    this.#audit = this.#openAudit()
    this.#metrics.watch({
      status: () => this.api.status(),
      inFlight: () => this.api.inspect(),
      watches: () => this.api.watchCounts(),
      peers: () => counters,
      databaseDir: this.#options.dataDir,
    })
    const limits = { ...httpLimits, ...withoutUndefined(this.#options.httpLimits) }
    const listener = new ClientListener({
      api: new Api({
        node: this.api,
        limits,
        version: version(),
        audit: this.#audit,
        failed: ({ stack, message }) => this.#logger.error({ stack }, `a request failed: ${message}`),
      }),
      metrics: this.#metrics,
      logger: this.#logger,
      limits,
      allowedHosts: allowedHostsFrom(this.#options),
      corsOrigins,
      tls: this.#certificates?.listener,
      served: servedClients(this.#options),
      etcdApi: this.#options.etcdApi,
    })
    this.#listener = listener
    for (const address of this.#options.metricsListen ?? []) await this.#listenForMetrics(address)
    this.#url = (await listener.listen(listen.host, listen.port)).url
    this.#warnOfAddresses()
    this.#warnOfPeers()
    this.api.start(this.#network.links)
    this.#startBackups()
    this.#announceSelf().catch((error: unknown) => {
      if (error instanceof NodeStartError) this.api.refuse(error.message)
      else this.api.events.stop(error instanceof Error ? error.message : String(error))
    })
  }

  /** For another member. */
  async #makeReport(kind: ReportKind): Promise<Uint8Array> {
    return kind === 'status'
      ? writeStatus({ node: this.api, version: version() })
      : Buffer.from(await this.#metrics.text())
  }

  async #listenForMetrics(address: ListenAddress): Promise<void> {
    const listener = new MetricsListener({
      status: () => this.api.status(),
      isClosing: () => this.#stopping !== undefined,
      metrics: this.#metrics,
      logger: this.#logger,
    })
    this.#metricsListeners.push(listener)
    await listener.listen(address)
  }

  async rereadCertificates(): Promise<void> {
    await this.#certificates?.reread()
  }

  reopenAuditLog(): void {
    this.#auditFile?.reopen()
  }

  #openAudit(): Audit | undefined {
    const { auditLog } = this.#options
    const file = this.#auditFile
    if (auditLog === undefined || file === undefined) return undefined
    const audit = new Audit((line) => file.append(line), auditLog.operations)
    this.#metrics.watchAudit(() => ({ dropped: file.droppedTotal, skipped: audit.skippedTotal }))
    return audit
  }

  #startBackups(): void {
    const { backup } = this.#options
    if (backup === undefined) return
    const { to, everyMs, keep } = backup
    const { diskReserveBytes } = driverLimitsFrom(this.#options)
    const backups = new BackupSchedule({
      node: this.api,
      target: parseBackupTarget(to, process.env),
      everyMs,
      keep,
      logger: this.#logger,
      room: (directory) => backupRoom(directory, this.#options.dataDir, diskReserveBytes),
    })
    this.#metrics.watchBackups(everyMs, () => backups.counts)
    backups.start()
    this.#host.backups = backups
  }

  #warnOfAddresses(): void {
    const advertised = [
      { address: this.peer, url: `http://${this.peer}`, flag: '--advertise-peer' },
      { address: this.url, url: this.url, flag: '--advertise-url' },
    ]
    // In a URL each address has one spelling. An option may have several: 0, [::0].
    for (const { address, url, flag } of advertised)
      if (['0.0.0.0', '[::]'].includes(URL.parse(url)?.hostname ?? ''))
        this.#logger.warn({}, `advertising ${address}, which other machines cannot reach; set ${flag}`)
  }

  #warnOfPeers(): void {
    const { tls, peerTls } = this.#options
    if (tls?.crl === undefined || peerTls === undefined || peerTls.crl !== undefined) return
    this.#logger.warn(
      {},
      'a node whose certificate is revoked can still connect as a peer: --tls-crl is for clients only; set --peer-tls-crl',
    )
  }

  inspect(): InFlightCounts {
    const inFlight: Record<string, number> = { ...this.api.inspect() }
    // Totals count the past, not work in flight.
    for (const [name, count] of Object.entries(this.#listener?.inspect() ?? {}))
      if (!name.endsWith('Total')) inFlight[`http.${name}`] = count
    return inFlight
  }

  async stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    await this.#stopping
    // The node may have failed or crashed, and is ending for that reason.
    await this.ended
  }

  async #stop(): Promise<void> {
    if (this.#over) return
    // Concurrently: while clients may send requests, there is nearly always a write in flight.
    const drained = new Promise<void>((resolve) => this.api.drain(resolve))
    await Promise.all([drained, this.#listener?.close({ graceful: true })])
    const error = await new Promise<Error | undefined>((resolve) => this.api.close(resolve))
    if (error === undefined) return this.#finish({ kind: 'stopped', reason: 'the node was stopped' })
    const reason = `the last applied entries could not be written: ${error.message}`
    this.#logger.error({ err: error }, reason)
    await this.#finish({ kind: 'failed', reason })
  }

  async crash(): Promise<void> {
    this.api.crash()
    await this.#finish({ kind: 'crashed', reason: 'the node was crashed on purpose' })
    // Another call may be ending it.
    await this.ended
  }

  async #finish(end: NodeEnd): Promise<void> {
    if (this.#over) return
    this.#over = true
    this.#host.backups?.stop()
    for (const listener of this.#metricsListeners) listener.close()
    this.#metrics.close()
    this.#certificates?.close()
    this.#network?.links.close()
    await this.#listener?.close({ graceful: false })
    await this.#network?.closed
    this.#audit?.flush()
    await this.#auditFile?.close()
    // A working storage releases its lock; a failed one writes nothing.
    await new Promise<void>((resolve) => this.#storage.close(() => resolve()))
    this.#resolveEnded(end)
  }

  /** Retries until the configuration has this replica with its present addresses. */
  async #announceSelf(): Promise<void> {
    const { founding } = this.#options
    const { replicaId, clusterId, name } = this.#storage.identity
    const self = (): RaftMember => ({ id: replicaId, name, peer: this.peer, url: this.url })
    const known = (): RaftMember | undefined =>
      this.api.configuration.members.find((member) => member.id === replicaId)
    if (known() === undefined && founding.kind !== 'join')
      this.#logger.warn(
        {},
        'this replica is not a member in the configuration that it knows; add it, or start it with --join URL',
      )
    if (known() === undefined && founding.kind === 'join') {
      const { peer, url } = self()
      const isKnown = (): boolean => this.#over || known() !== undefined
      const joiner = { name, replicaId, clusterId, peer, url }
      const tls = () => this.#certificates?.requests
      // Without a configuration, this node knows nobody: these members may connect.
      const found: Parameters<typeof join>[1]['found'] = (members) =>
        this.#network?.links.learn(
          members.map(({ replicaId, name, peer }) => ({ id: asReplicaId(replicaId), name, peer })),
        )
      await join(joiner, { ...founding, logger: this.#logger, isKnown, tls, found })
    }
    while (!this.#over) {
      const member = known()
      if (member === undefined || (member.peer === this.peer && member.url === this.url)) return
      await this.#announce(self())
    }
  }

  #announce(member: RaftMember): Promise<void> {
    return new Promise((resolve) => {
      this.api.change({ kind: 'change', steps: [{ kind: 'update', member }] }, ANNOUNCE_TIMEOUT_MS, () =>
        setTimeout(resolve, ANNOUNCE_INTERVAL_MS),
      )
    })
  }
}

async function openAuditFile({ auditLog }: StartOptions, logger: Logger): Promise<AuditFile | undefined> {
  if (auditLog === undefined) return undefined
  const path = resolve(auditLog.file)
  const file = new AuditFile({ path, warn: (message) => logger.warn({}, message) })
  await file.open().catch((error: unknown) => {
    throw new NodeStartError(
      `the audit log ${path} cannot be opened: ${error instanceof Error ? error.message : error}`,
    )
  })
  return file
}

/** The error of a start, with the directory and the next step where an operator must take one. */
function startError(dir: string, error: unknown): unknown {
  if (isDiskFull(error)) return new NodeStartError(noSpaceToStart(dir, error))
  return error instanceof UnknownKindError
    ? new NodeStartError(`${dir}: ${error.message}; its data was not changed`)
    : error
}

const noSpaceToStart = (dir: string, error: unknown): string =>
  `the disk of ${dir} is full (${error instanceof Error ? error.message : String(error)}); free space on it and start the node again: nothing that it acknowledged is lost`

/** The memory of the machine, or of the container if that may use less. */
const memoryBytes = (): number =>
  Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)

/** Formats an empty directory according to `founding`. Throws when the directory and the options do not fit. */
async function prepareDirectory(
  options: StartOptions,
  logger: Logger,
  tls: ConnectionOptions | undefined,
): Promise<void> {
  const { dataDir, founding, name } = options
  const found = inspectDirectory(dataDir)
  if (found.kind === 'formatted') {
    if (founding.kind === 'bootstrap') {
      throw new NodeStartError(
        `${dataDir} already holds node ${found.identity.name} of cluster ${found.identity.clusterId}; leave --bootstrap out to start it (--bootstrap founds a new cluster in an empty directory, once)`,
        { usage: true },
      )
    }
    if (found.identity.name !== name) {
      throw new NodeStartError(
        `${dataDir} belongs to node ${found.identity.name}, not ${name}; check --data and --name`,
      )
    }
    checkPrivate(dataDir)
    return
  }
  switch (founding.kind) {
    case 'existing':
      throw new NodeStartError(
        `${dataDir} holds no node; found a new cluster with --bootstrap (once), or join a running one with --join URL`,
        { usage: true },
      )
    case 'bootstrap':
      await checkListenAddresses(options)
      return format(options, { clusterId: founding.clusterId ?? randomId(), founder: true })
    case 'join': {
      await checkListenAddresses(options)
      const { clusterId } = await discoverCluster({ ...founding, tls }, logger)
      await checkListenAddresses(options)
      return format(options, { clusterId, founder: false })
    }
    default:
      return assertNever(founding)
  }
}

/** Keys, values and hashes of passwords are in it. A node makes its own directory private. */
function checkPrivate(dataDir: string): void {
  const mode = modeOpenToOthers(dataDir)
  if (mode !== undefined)
    throw new NodeStartError(
      `${dataDir} is open to other users (mode ${mode.toString(8)}); make it private: chmod o= ${dataDir}`,
    )
}

/** Before anything is formatted: a start that fails must not leave a new replica behind. */
async function checkListenAddresses({ listen, peerListen, metricsListen = [] }: StartOptions): Promise<void> {
  await checkListenAddress(peerListen)
  for (const address of metricsListen) await checkListenAddress(address)
  await checkListenAddress(listen)
}

/**
 * Formats the directory. A founder starts at index 1, as if from a snapshot in which it is the only voter. So every
 * other replica, which starts empty, first receives that state. The others start with an empty configuration and wait
 * until the leader contacts them.
 */
async function format(
  options: StartOptions,
  { clusterId, founder }: { clusterId: string; founder: boolean },
): Promise<void> {
  const replicaId = asReplicaId(randomId())
  const identity: Identity = { clusterId, replicaId, name: options.name, formatVersion: FORMAT_VERSION }
  const at = founder ? 1 : 0
  const configuration = founder
    ? bootstrapConfiguration(foundingMember(options, replicaId))
    : emptyConfiguration
  await formatStorage(options.dataDir, identity, {
    hardState: { term: asTerm(at), vote: undefined, commit: asIndex(at) },
    applied: {
      index: asIndex(at),
      term: asTerm(at),
      raft: encodeAppliedState({
        configuration,
        leaderLeases: { on: false, durationMs: raftTiming.electionMinMs },
      }),
      kv: encodeState(founder ? initialState({}, clusterId) : stateBeforeSnapshot(clusterId)),
    },
  })
}

/** The founder as a member. Addresses that the system chooses are announced once the node listens. */
function foundingMember(options: StartOptions, id: ReplicaId): RaftMember {
  const { name, peerListen, listen } = options
  const peer = options.advertisePeer ?? (peerListen.port === 0 ? '' : hostPort(peerListen))
  const url =
    options.advertiseUrl ??
    (listen.port === 0 ? '' : `${options.tls ? 'https' : 'http'}://${hostPort(listen)}`)
  return { id, name, peer, url }
}
