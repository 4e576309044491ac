// The kv command on one machine: import and export, and the local cluster. The simulator does not cover it; tests with
// real processes and files do.

import type { Mutant } from '../mutant.ts'
import { edit, UNIT } from './edit.ts'

const LINES = 'src/cli/import-lines.ts'
const IMPORT = 'src/cli/commands/import.ts'
const SUPERVISOR = 'src/local/supervisor.ts'
const COMMANDS = 'src/local/control-commands.ts'
const DIRECTORY = 'src/local/held-directory.ts'
const MAJORITY = 'src/local/majority.ts'
const FILES_TESTS = ['test/cli/files.int.test.ts']
const AT_THE_SAME_TIME = ['test/local/at-the-same-time.int.test.ts']
const CONSENT = ['test/local/consent.int.test.ts']
const LINES_TESTS = ['test/cli/import-lines.prop.test.ts']

export const LOCAL: readonly Mutant[] = [
  {
    id: 'M800',
    title: 'a node waits as long as any program until its code is optimized',
    why: 'With one client a put costs up to twice what it should for many thousand puts.',
    layers: UNIT,
    tests: ['test/local/compile-soon.int.test.ts'],
    edits: [
      edit('src/local/compile-soon.ts', 'CALLS_BEFORE_OPTIMIZING = 1500', 'CALLS_BEFORE_OPTIMIZING = 3000'),
    ],
  },
  {
    id: 'M201',
    title: 'an import ends lines at U+2028 and U+2029 too',
    why: 'node:readline does; JSON strings may contain both, so a backup with such a value cannot be restored',
    layers: UNIT,
    tests: [...LINES_TESTS, ...FILES_TESTS],
    edits: [
      edit(
        LINES,
        'for await (const bytes of linesOf(input, where)) {',
        'for await (const whole of linesOf(input, where)) for (const part of whole.toString().split(/[\\u2028\\u2029]/)) {\n' +
          '    const bytes = Buffer.from(part)',
      ),
    ],
  },
  {
    id: 'M202',
    title: 'an import decodes chunk by chunk',
    why: 'a character that is split between two chunks becomes U+FFFD twice',
    layers: UNIT,
    tests: LINES_TESTS,
    edits: [edit(LINES, 'pieces.push(piece)', 'pieces.push(Buffer.from(piece.toString()))')],
  },
  {
    id: 'M203',
    title: 'an import writes one key from several requests at once',
    why: 'whichever arrives last wins, not the last one of the file',
    layers: UNIT,
    tests: FILES_TESTS,
    edits: [edit(IMPORT, 'lastOfKey.get(key) ?? Promise.resolve()', 'Promise.resolve()')],
  },
  {
    id: 'M204',
    title: 'an export makes two keys the same',
    why: 'with --strip-prefix p/ both p/a and a become a: an import of the export keeps one of them',
    layers: UNIT,
    tests: FILES_TESTS,
    edits: [edit('src/cli/strip-prefix.ts', 'if (this.#given.has(bytes)) {', 'if (bytes === undefined) {')],
  },
  {
    id: 'M205',
    title: 'an input without an end line counts as complete',
    why: 'a backup that was cut off between two lines is restored without an error',
    layers: UNIT,
    tests: FILES_TESTS,
    edits: [edit(LINES, 'if (ended) return', 'if (ended || number >= 0) return')],
  },
  {
    id: 'M206',
    title: 'a majority of the local nodes counts as a majority of the voters',
    why: 'in a cluster that was extended by hand, rejoin removes the node without which there is no quorum',
    layers: UNIT,
    tests: ['test/local/grown-cluster.int.test.ts'],
    edits: [edit(MAJORITY, 'count > voters.length / 2', 'count > nodes.length / 2')],
  },
  {
    id: 'M207',
    title: 'a directory whose formatting was interrupted counts as a node',
    why: 'a first start that was interrupted then founds no cluster, and every node looks for one to join',
    layers: UNIT,
    tests: ['test/local/interrupted-start.int.test.ts'],
    edits: [
      edit(
        'src/server/inspect-data-directory.ts',
        "return inspectDirectory(dir).kind === 'formatted'",
        'return existsSync(dir)',
      ),
      edit(
        'src/server/inspect-data-directory.ts',
        'import { StorageRefusedError }',
        "import { existsSync } from 'node:fs'\nimport { StorageRefusedError }",
      ),
    ],
  },
  {
    id: 'M208',
    title: 'a start treats a supervisor that is about to end as running',
    why: 'the start of a detached cluster was interrupted: the next one finds it running, and then it is gone',
    layers: UNIT,
    tests: ['test/local/interrupted-start.int.test.ts'],
    edits: [edit('src/cli/cluster/start.ts', "{ command: 'formed' }", "{ command: 'status' }")],
  },
  {
    id: 'M209',
    title: 'a joining node uses the proxy of the environment',
    why: 'fetch and the global agent use it, with NODE_USE_ENV_PROXY: no proxy reaches the loopback addresses of this machine',
    layers: UNIT,
    tests: ['test/local/proxy.int.test.ts'],
    edits: [
      edit(
        'src/server/ask-http.ts',
        'http.request(url, { agent, method, headers, lookup })',
        'http.request(url, { method, headers })',
      ),
    ],
  },
  {
    id: 'M210',
    title: 'a supervisor uses any directory that is at its path',
    why: 'its nodes would write into the directory of another cluster, and the supervisor of a moved one is never found',
    layers: UNIT,
    tests: ['test/local/directory.int.test.ts'],
    edits: [edit(DIRECTORY, 'return directoryId(this.path) === this.#id', 'return this.#id !== undefined')],
  },
  {
    id: 'M211',
    title: 'the supervisor of a directory counts as that of a copy of it',
    why: 'to stop or to destroy the copy would stop the cluster itself',
    layers: UNIT,
    tests: ['test/local/supervisor-lock.int.test.ts'],
    edits: [
      edit(
        'src/local/control-client.ts',
        'answer.directory === directoryId(dataDir))',
        'directoryId(dataDir) !== undefined)',
      ),
    ],
  },
  {
    id: 'M212',
    title: 'the node of a killed supervisor begins its work',
    why: 'the next supervisor may be formatting the same directory: each deletes what the other writes',
    layers: UNIT,
    tests: ['test/local/node-process.int.test.ts'],
    edits: [
      edit(
        'src/local/node-process.ts',
        'if (process.ppid === message.supervisor) void start',
        'if (process.ppid !== 0) void start',
      ),
    ],
  },
  {
    id: 'M260',
    title: 'destroy deletes without holding the lock of the directory',
    why: 'a cluster that is started meanwhile loses its data without an error',
    layers: UNIT,
    tests: AT_THE_SAME_TIME,
    edits: [
      edit(
        'src/local/stop.ts',
        'if ((await takeLockForRoom(dataDir, self, ours)) !== undefined) return false',
        'if (self.pid === 0) return false',
      ),
    ],
  },
  {
    id: 'M261',
    title: 'only cluster.json shows which process runs a cluster',
    why: 'a stop between the lock and that file says that nothing runs, and then a cluster starts',
    layers: UNIT,
    tests: AT_THE_SAME_TIME,
    edits: [
      edit(
        'src/local/supervisor-lock.ts',
        'if (holder !== undefined && (await identifies(holder, dataDir))) return holder\n  const noted',
        'if (holder === undefined) return undefined\n  const noted',
      ),
    ],
  },
  {
    id: 'M262',
    title: 'connections to the supervisor keep its process alive',
    why: 'a client that connects and sends nothing delays the end of the supervisor, and stop never returns',
    layers: UNIT,
    tests: AT_THE_SAME_TIME,
    edits: [edit('src/local/control-server.ts', 'socket.unref()', 'socket.ref()')],
  },
  {
    id: 'M263',
    title: 'a lock is released by any process that ends',
    why: 'another process may have taken it over since: then a third supervisor finds the directory free',
    layers: UNIT,
    tests: ['test/local/supervisor-lock.int.test.ts'],
    edits: [
      edit(
        'src/local/supervisor-lock.ts',
        "if (readFileSync(lock, 'utf8') === JSON.stringify(self)) rmSync(lock)",
        'if (self.pid !== 0) rmSync(lock)',
      ),
    ],
  },
  {
    id: 'M264',
    title: 'no process continues a stopped node when the supervisor is gone',
    why: 'a stopped process cannot notice that: it keeps its port and its directory',
    layers: UNIT,
    tests: ['test/local/local-cluster.int.test.ts'],
    edits: [
      edit('src/local/stopped-guard.ts', 'this.#pipe?.write(', 'if (pids.length < 0) this.#pipe?.write('),
    ],
  },
  {
    id: 'M265',
    title: 'a stop does not wait for a supervisor whose directory was moved away',
    why: 'stop at the old path says that nothing runs while the nodes still serve',
    layers: UNIT,
    tests: ['test/local/directory.int.test.ts'],
    edits: [
      edit(
        'src/local/stop.ts',
        'if (await knock(dataDir, MOVED_END_LIMIT_MS)) return true',
        'if (!existsSync(dataDir)) return false',
      ),
    ],
  },
  {
    id: 'M266',
    title: 'a healthy node is made a new replica without a confirmation',
    why: 'a typing mistake deletes a good copy of the data',
    layers: UNIT,
    tests: ['test/local/local-cluster.int.test.ts'],
    edits: [
      edit(COMMANDS, 'if (process.ready && !evenHealthy) return', "if (process.ready && name === '') return"),
      edit(COMMANDS, 'if (!evenHealthy && (await', "if (!evenHealthy && name === '' && (await"),
    ],
  },
  {
    id: 'M267',
    title: 'an agreement that nothing runs counts also for a cluster that is started later',
    why: 'a cluster that is started while destroy checks is ended and deleted without a question',
    layers: UNIT,
    tests: CONSENT,
    edits: [
      edit(
        'src/local/stop.ts',
        'return destroyCluster(dataDir, agreed)',
        'return destroyCluster(dataDir, async () => {})',
      ),
    ],
  },
  {
    id: 'M268',
    title: 'rejoin treats a node without a leader as a damaged one',
    why: 'in an election no node is ready: a healthy node loses its replica without a question',
    layers: UNIT,
    tests: CONSENT,
    edits: [edit(COMMANDS, 'if (!evenHealthy && (await', "if (!evenHealthy && name === '' && (await")],
  },
  {
    id: 'M269',
    title: 'a node that is joining reports that there are no voters',
    why: 'a start that continues an interrupted one ends with an error while its nodes are about to be ready',
    layers: UNIT,
    tests: ['test/local/voters.int.test.ts'],
    edits: [edit('src/local/voters.ts', 'if (members.length === 0) return', 'if (term === null) return')],
  },
  {
    id: 'M270',
    title: 'the configuration decides where a local node listens',
    why: 'after a start at other ports it has the old ones: the start says that no majority is possible, although one is',
    layers: UNIT,
    tests: ['test/local/local-cluster.int.test.ts'],
    edits: [
      edit(
        MAJORITY,
        'return node.url === voter.url || (mayRun(node)',
        'return node.url === voter.url || (node.port === 0',
      ),
    ],
  },
  {
    id: 'M610',
    title: 'two nodes rejoin at the same time',
    why: 'each is made a new replica because the other has the data: no majority is left, and both old replicas are moved aside',
    layers: UNIT,
    tests: ['test/local/local-cluster.int.test.ts'],
    edits: [edit(COMMANDS, 'const reply = this.#lastRejoin.then(rejoin)', 'const reply = rejoin()')],
  },
  {
    id: 'M611',
    title: 'a cluster whose files are all deleted continues',
    why: 'it acknowledges writes that will never be found again, and no command knows that it runs',
    layers: UNIT,
    tests: ['test/local/directory.int.test.ts'],
    edits: [edit(DIRECTORY, ' && names(this.path, this.#holder, this.#ownCluster)', '')],
  },
  {
    id: 'M613',
    title: 'a cluster whose files are replaced by those of a backup continues',
    why: 'it acknowledges writes that will never be found again, and stop says that nothing runs',
    layers: UNIT,
    tests: ['test/local/directory.int.test.ts'],
    edits: [
      edit(
        'src/local/supervisor-lock.ts',
        'readClusterFile(dataDir)?.supervisor?.token === self.token',
        'readClusterFile(dataDir) !== undefined',
      ),
    ],
  },
  {
    id: 'M615',
    title: 'a local cluster is up before its nodes know the current addresses of the others',
    why: 'clients of a copy of the directory learn the URLs of the original, and write there',
    layers: UNIT,
    tests: ['test/local/local-cluster.int.test.ts'],
    edits: [edit(SUPERVISOR, 'return all || this.#stopping || undefined', 'return all || true')],
  },
  {
    id: 'M622',
    title: 'a start at other ports gives no warning about a node that is away',
    why: 'clients of a copy of the directory ask the node of the original instead, without a warning',
    layers: UNIT,
    tests: ['test/local/local-cluster.int.test.ts'],
    edits: [edit(SUPERVISOR, 'if (ready || before === undefined ||', "if (before !== '' ||")],
  },
  {
    id: 'M623',
    title: 'a copy of its cluster.json counts as its own',
    why: 'a cluster whose files are replaced by a copy that was made while it ran continues, and its acknowledged writes are lost',
    layers: UNIT,
    tests: ['test/local/directory.int.test.ts'],
    edits: [edit('src/local/supervisor-lock.ts', 'clusterId === ownCluster && read', 'read')],
  },
  {
    id: 'M624',
    title: 'a node whose directory is moved away or replaced continues',
    why: 'its later acknowledged writes are in files that will never be found; if all nodes do this, the writes are lost',
    layers: UNIT,
    tests: ['test/local/local-cluster.int.test.ts'],
    edits: [edit(SUPERVISOR, 'for (const { process } of this.#lifecycle.nodes) process.endWhenAway()', '')],
  },
  {
    id: 'M625',
    title: 'a node of a local cluster joins whatever cluster answers first',
    why: 'the port of the first node is taken by another cluster meanwhile: its directory belongs to that one, and no later start works',
    layers: UNIT,
    tests: ['test/local/interrupted-start.int.test.ts', 'test/server/join.int.test.ts'],
    edits: [
      edit(
        'src/server/join.ts',
        'if (clusterId === undefined || seen.clusterId === clusterId) return seen',
        'return seen',
      ),
    ],
  },
  {
    id: 'M626',
    title: 'a founder whose port is briefly in use founds a second time',
    why: 'its own data is refused, and the first start fails with the advice to leave out a flag that was not given',
    layers: UNIT,
    tests: ['test/local/interrupted-start.int.test.ts'],
    edits: [
      edit(
        'src/local/node-process.ts',
        "if (founding.kind === 'bootstrap' && holdsNode(",
        "if (founding.kind === 'existing' && holdsNode(",
      ),
    ],
  },
  {
    id: 'M627',
    title: 'the lock alone keeps a cluster running',
    why: 'a cluster whose other files are replaced by those of a backup continues, in files that will never be found',
    layers: UNIT,
    tests: ['test/local/directory.int.test.ts'],
    edits: [
      edit(
        'src/local/supervisor-lock.ts',
        'return isOwnCluster && (isOwnLock || held === undefined)',
        'return isOwnLock || (isOwnCluster && held === undefined)',
      ),
    ],
  },
  {
    id: 'M628',
    title: 'a node whose directory is emptied, or whose files are restored from a copy, continues',
    why: 'the directory is the same, but acknowledged writes are in files that will never be found',
    layers: UNIT,
    tests: ['test/local/local-cluster.int.test.ts'],
    edits: [edit('src/local/supervised-node.ts', 'fileId(join(dataDir, OPEN_FILE))', 'fileId(dataDir)')],
  },
  {
    id: 'M629',
    title: 'destroy needs disk space for its lock',
    why: 'on a full disk the command that would free space ends with an error',
    layers: UNIT,
    tests: ['test/local/at-the-same-time.int.test.ts'],
    edits: [
      edit(
        'src/local/stop.ts',
        'await takeLockForRoom(dataDir, self, ours)',
        'await takeLock(dataDir, self)',
      ),
    ],
  },
  {
    id: 'M630',
    title: 'a node of the original counts as that of a copy which is not running',
    why: 'rejoin removes a node of the copy although no majority is left there',
    layers: UNIT,
    tests: ['test/local/voters.int.test.ts'],
    edits: [edit('src/local/voters.ts', ' || !belongs(status, local)) return', ') return')],
  },
  {
    id: 'M631',
    title: 'a new node of a copy also asks the earlier addresses of the members',
    why: 'it replaces a replica of the original, which ends',
    layers: UNIT,
    tests: ['test/server/join.int.test.ts'],
    edits: [
      edit('src/server/join.ts', 'if (clusterId === undefined)\n        known', 'if (true)\n        known'),
    ],
  },
  {
    id: 'M632',
    title: 'workers of node:cluster share the client ports of their nodes',
    why: "the nodes of one embedded cluster get the requests of another worker's nodes, and join that cluster",
    layers: UNIT,
    tests: ['test/embed/crossing.int.test.ts'],
    edits: [edit('src/server/http/server.ts', '{ host, port, exclusive: true }', '{ host, port }')],
  },
  {
    id: 'M633',
    title: 'a node that stops accepts requests as long as others are under way',
    why: 'under load it needs the whole time-out, and a container kills it in the middle of its answers',
    layers: UNIT,
    tests: ['test/server/node-ending.int.test.ts'],
    edits: [
      edit(
        'src/server/start-node.ts',
        'await Promise.all([drained, this.#http?.close({ graceful: true })])',
        'await drained\n    await this.#http?.close({ graceful: true })',
      ),
    ],
  },
  {
    id: 'M634',
    title: 'a node opens its files by a path that contains links',
    why: 'after a deployment changes a link, LevelDB writes acknowledged data into another directory',
    layers: UNIT,
    tests: ['test/embed/cluster.int.test.ts'],
    edits: [edit('src/server/start-node.ts', 'dataDir: realpathSync(dataDir) }', 'dataDir }')],
  },
  {
    id: 'M635',
    title: 'only an `instanceof Error` counts as an error',
    why: 'in a separate context, as Jest makes for each file, errors of Node.js and LevelDB are not: the end of a scan ends the node',
    layers: UNIT,
    tests: ['test/embed/context.vm.test.ts'],
    edits: [edit('src/storage/errors.ts', 'types.isNativeError(thrown)', 'thrown instanceof Error')],
  },
  {
    id: 'M636',
    title: 'each attempt to reach a peer does a separate lookup of its name',
    why: 'with a nameserver that does not answer the lookup takes longer than the attempt: no peer is ever reached again',
    layers: UNIT,
    tests: ['test/server/peers/tcp/handshake.int.test.ts'],
    edits: [edit('src/server/peers/tcp/wires.ts', 'connect({ ...target, lookup })', 'connect(target)')],
  },
  {
    id: 'M637',
    title: 'the answer of a lookup is forgotten if its caller has given up',
    why: 'a caller whose pauses are longer than the answer is kept never connects: no snapshot reaches a new node',
    layers: UNIT,
    tests: ['test/client/lookup.test.ts'],
    edits: [edit('src/client/lookup.ts', 'now - askedAt > SLOW_MS', 'false')],
  },
  {
    id: 'M638',
    title: 'a node refuses requests to the name that it advertises',
    why: 'clients are told to use that name, and each gets 421',
    layers: UNIT,
    tests: ['test/server/start-node.test.ts'],
    edits: [edit('src/server/start-node.ts', '? [] : [advertised.hostname]', '? [] : []')],
  },
  {
    id: 'M688',
    title: 'a node that listens on a name tells its peers its current address',
    why: 'machines that are all restarted may have changed addresses, and then none of them finds another',
    layers: UNIT,
    tests: ['test/server/start-node.test.ts'],
    edits: [edit('src/server/peers/tcp/wires.ts', "given === '' ? bound.address : given", 'bound.address')],
  },
  {
    id: 'M689',
    title: 'a node refuses requests to the name on which it listens',
    why: 'clients are told to use that name, and each gets 421',
    layers: UNIT,
    tests: ['test/server/start-node.test.ts'],
    edits: [edit('src/server/start-node.ts', '...allowedHosts, listen.host,', '...allowedHosts,')],
  },
  {
    id: 'M690',
    title: 'a node that has ended waits until its last output is read',
    why: 'while the reader of its stderr is blocked, the process stays, and its supervisor does not know that it has ended',
    layers: UNIT,
    tests: ['test/local/node-start.int.test.ts'],
    edits: [edit('src/cli/commands/node.ts', 'process.exit(exitCode)', "throw new Failure(exitCode, '')")],
  },
  {
    id: 'M724',
    title: 'a directory is tried again and again when the system calls its place missing',
    why: 'In /proc, and in a directory that was removed, a start ends with a stack overflow in place of a reason. Our own.',
    layers: UNIT,
    tests: ['test/local/refused-start.int.test.ts'],
    edits: [
      edit(
        'src/files/durable.ts',
        'return makeOne(path, mode) === undefined',
        'return makeDirectories(path, mode) === undefined',
      ),
    ],
  },
  {
    id: 'M725',
    title: 'a detached supervisor is not told by which name the program was called',
    why: 'What a cluster that was started as kv says names quorate. Our own.',
    layers: UNIT,
    tests: ['test/local/called.int.test.ts'],
    edits: [edit('src/cli/cluster/start.ts', '...PROGRAM_ENV, ', '')],
  },
  {
    id: 'M733',
    title: 'the report that a node has ended does not say how it comes back',
    why: 'Of damaged data the node says only what helps a node that was started by hand. Our own.',
    layers: UNIT,
    tests: ['test/local/called.int.test.ts'],
    edits: [edit('src/local/lifecycle.ts', "event.kind === 'ended' && event.failed", 'false')],
  },
  {
    id: 'M734',
    title: 'a number with a port after it is taken for an address',
    why: '--endpoints http://7301:7301 asks 0.0.28.133. Our own.',
    layers: UNIT,
    tests: ['test/cli/contradictions.int.test.ts'],
    edits: [edit('src/client/address.ts', ' && !text.includes(url.hostname)', " && !text.includes(':')")],
  },
  {
    id: 'M727',
    title: 'an import takes a pause of its source for a slow cluster',
    why: 'After each pause of the program that writes into the pipe, half as many writes are under way. Our own.',
    layers: UNIT,
    tests: ['test/cli/import-pace.test.ts'],
    edits: [
      edit(
        'src/cli/import-pace.ts',
        'if (underway === 0) this.#windowFrom += this.#now() - this.#lastEnd',
        '',
      ),
    ],
  },
  {
    id: 'M856',
    title: 'what a collection has brought is counted before another thread has freed it',
    why: 'Each collection of the young generation seemed to bring nothing, and led to one of everything. Our own.',
    layers: UNIT,
    tests: ['test/local/small-heap.test.ts'],
    edits: [
      edit(
        'src/local/small-heap.ts',
        'const isCollected = heapBytes < this.#heapBytes',
        'const isCollected = Number.isNaN(heapBytes)',
      ),
    ],
  },
]
