// Real I/O of a simulated process is refused, and that of others is not.

import child, { exec, spawn } from 'node:child_process'
import cluster from 'node:cluster'
import dgram from 'node:dgram'
import dns from 'node:dns'
import fs, { existsSync, readFile, readFileSync } from 'node:fs'
import fsPromises, { writeFile } from 'node:fs/promises'
import http, { createServer } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { createRequire } from 'node:module'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { promisify } from 'node:util'
import v8 from 'node:v8'
import workers from 'node:worker_threads'
import { expect, test } from 'vitest'
import { virtualHost } from './virtual-host.ts'

const FILE = import.meta.filename
const ADDRESS = 'http://127.0.0.1:1/'
/** A socket of before, as that of a client for metrics. */
const udp = dgram.createSocket('udp4')
/** Its import would print a warning. */
const sqlite = () => process.getBuiltinModule('node:sqlite')

test.each<[string, () => unknown]>([
  ['net.connect', () => net.connect(1)],
  ['net.createConnection', () => net.createConnection(1)],
  ['net.Socket.connect', () => new net.Socket().connect(1)],
  ['net.Server.listen', () => net.createServer().listen(0)],
  ['net.Server.listen', () => createServer().listen(0)],
  ['tls.connect', () => tls.connect(1)],
  ['dgram.createSocket', () => dgram.createSocket('udp4')],
  ['dns.lookup', () => dns.lookup('localhost', () => {})],
  ['dns.lookup', () => promisify(dns.lookup)('localhost')],
  ['dns.promises.resolve4', () => dns.promises.resolve4('localhost')],
  ['dns.Resolver.resolve4', () => new dns.Resolver().resolve4('localhost', () => {})],
  ['http.request', () => http.request(ADDRESS)],
  ['http.get', () => http.get(ADDRESS)],
  ['http.ClientRequest', () => new http.ClientRequest(ADDRESS)],
  ['https.request', () => https.request(ADDRESS)],
  ['http2.connect', () => http2.connect(ADDRESS)],
  ['fs.readFile', () => readFile(FILE, () => {})],
  ['fs.readFile', () => promisify(readFile)(FILE)],
  ['fs.readFileSync', () => readFileSync(FILE)],
  ['fs.existsSync', () => existsSync(FILE)],
  ['fs.exists', () => promisify(fs.exists)(FILE)],
  ['fs.realpath', () => fs.realpath.native(FILE, () => {})],
  ['fs.realpathSync', () => fs.realpathSync.native(FILE)],
  ['fs.createReadStream', () => fs.createReadStream(FILE)],
  ['fs.ReadStream', () => new fs.ReadStream(FILE as never)],
  ['fs.watch', () => fs.watch(FILE)],
  ['fs.promises.writeFile', () => writeFile('/nowhere/file', 'x')],
  ['fs.promises.open', () => fsPromises.open(FILE)],
  ['fs.promises.stat', () => fs.promises.stat(FILE)],
  ['child_process.spawn', () => spawn('true')],
  ['child_process.exec', () => promisify(exec)('true')],
  ['child_process.fork', () => child.fork(FILE)],
  ['worker_threads.Worker', () => new workers.Worker(FILE)],
  ['worker_threads.MessageChannel', () => new workers.MessageChannel()],
  ['cluster.fork', () => cluster.fork()],
  ['WebSocket', () => new WebSocket(ADDRESS)],
  ['WebSocket', () => new (class extends WebSocket {})(ADDRESS)],
  ['MessageChannel', () => new MessageChannel()],
  ['BroadcastChannel', () => new BroadcastChannel('x')],
  ['process.exit', () => process.exit(1)],
  ['process.abort', () => process.abort()],
  ['process.kill', () => process.kill(process.pid, 0)],
  ['process.stdin', () => process.stdin],
  ['process.chdir', () => process.chdir('/')],
  ['process.loadEnvFile', () => process.loadEnvFile(FILE)],
  ['process.report.writeReport', () => process.report.writeReport('/nowhere/report')],
  ['v8.writeHeapSnapshot', () => v8.writeHeapSnapshot('/nowhere/snapshot')],
  ['sqlite.DatabaseSync', () => new (sqlite().DatabaseSync)('/nowhere/database')],
  ['dgram.Socket.bind', () => udp.bind(0)],
  ['dgram.Socket.connect', () => udp.connect(9)],
  ['dgram.Socket.send', () => udp.send('x', 9)],
  ['Atomics.wait', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)],
  ['Atomics.waitAsync', () => Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)],
])('%s is refused', async (name, begin) => {
  const host = virtualHost()
  await expect(host.run(async () => begin())).rejects.toThrow(`refused: ${name}`)
})

test('a database in memory is no real I/O', () => {
  const host = virtualHost()
  const database = host.run(() => new (sqlite().DatabaseSync)(':memory:'))
  expect(database).toBeInstanceOf(sqlite().DatabaseSync)
  database.close()
})

test('code of no process finds files, sockets and processes as before', async () => {
  virtualHost()
  expect(readFileSync(FILE, 'utf8')).toContain('of no process')
  expect((await fsPromises.stat(FILE)).isFile()).toBe(true)
  expect(await promisify(fs.exists)(FILE)).toBe(true)
  expect(fs.statSync(FILE)).toBeInstanceOf(fs.Stats)
  const channel = new MessageChannel()
  expect(channel).toBeInstanceOf(MessageChannel)
  channel.port1.close()
  const server = createServer((_request, response) => response.end('answer'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  expect(await (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).text()).toBe(
    'answer',
  )
  await promisify(server.close.bind(server))()
})

test('a process loads modules, as a call or an expression', async () => {
  const host = virtualHost()
  const folder = join(import.meta.dirname, 'testdata')
  const loaded = await host.run(async () => {
    const require = createRequire(import.meta.url)
    expect(require(join(folder, 'data.json'))).toEqual({ text: 'of a file' })
    expect(require(join(folder, 'required.cjs'))).toEqual({ text: 'of a file' })
    return import(join(folder, 'imported.mjs'))
  })
  expect(loaded.text).toBe('of a file')
  await expect(host.run(() => import(join(folder, 'reads.mjs')))).rejects.toThrow('refused: fs.readFileSync')
})
