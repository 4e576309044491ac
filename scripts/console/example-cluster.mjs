// A local cluster with the data of a small shop, for the pictures of the console.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from '../../src/index.ts'
import { campaign, lock, queue, registry, saga, semaphore } from '../../src/recipes/index.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/** The pause between two operations of the load, in milliseconds. */
const LOAD_PAUSE_MS = 8

/** Starts the cluster with client ports from `port` on. `close` stops it and deletes its data. */
export async function startExampleCluster(port) {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-console-'))
  const data = join(dir, 'cluster')
  const command = async (...args) => {
    const { stdout } = await run(process.execPath, [join(root, 'bin/kv.js'), ...args], { cwd: dir })
    return stdout.trim()
  }
  const cluster = (name, ...args) => command('cluster', name, ...args, '--data', data)
  const ended = new AbortController()
  const endpoints = [0, 1, 2].map((n) => `http://127.0.0.1:${port + n}`)
  let kv
  const close = async () => {
    ended.abort()
    await kv?.close()
    await cluster('stop')
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    await cluster('start', '--detach', '--port', String(port))
    kv = new Client({ endpoints })
    await writeData(kv, ended.signal)
    await addUsers((...args) => command('--endpoints', endpoints[0], ...args))
    void makeLoad(kv, ended.signal)
    return { address: await command('console', '--data', data, '--no-open'), cluster, kv, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function writeData(kv, signal) {
  for (const requests of [100, 250, 400])
    await kv.put('config/shop/limits', limits(requests, requests < 400 ? 'EUR' : 'CHF'))
  await kv.putJson('config/shop/features', { checkout: 'new', search: true, reviews: false })
  await kv.put('config/shop/greeting', 'Grüezi')
  await kv.putJson('config/mail/sender', { name: 'The shop', address: 'orders@shop.example' })
  await kv.putJson('config/mail/smtp', { host: 'smtp.shop.example', port: 587, tls: true })
  for (let n = 1; n <= 24; n++) {
    const id = String(n).padStart(4, '0')
    await kv.putJson(`orders/2026/${id}`, { customer: `c${(n * 37) % 100}`, total: n * 12.5, state: 'paid' })
    await kv.put(`stock/${1000 + n}`, String(n * 7))
  }
  const { id: lease } = await kv.grantLease({ ttlMs: 600_000 })
  for (const user of ['ann', 'bea', 'carl'])
    await kv.putJson(`sessions/${user}`, { user, device: 'laptop' }, { lease })
  await coordinate(kv, signal)
}

const limits = (requests, currency) =>
  JSON.stringify({ requests_per_second: requests, items_per_order: 50, currency }, undefined, 2)

/** Each holder and each waiter has a session of its own, which lives as long as this process. */
async function coordinate(kv, signal) {
  const until = { signal, ttlMs: 60_000 }
  await lock(kv, 'deploy', until)
  await lock(kv, 'invoices/2026-11', until)
  const wait = (promise) => void promise.catch(() => {})
  for (let n = 0; n < 2; n++) wait(lock(kv, 'deploy', until))
  await campaign(kv, 'scheduler', { ...until, value: 'worker-2 at 10.0.0.12' })
  wait(campaign(kv, 'scheduler', { ...until, value: 'worker-1 at 10.0.0.11' }))
  const exports = semaphore(kv, 'exports', 2)
  for (let n = 0; n < 2; n++) await exports.acquire(until)
  wait(exports.acquire(until))

  const mail = queue(kv, 'mail', { attemptsMax: 1, visibilityMs: 600_000 })
  await mail.pushJson({ to: 'nobody@nowhere.example', template: 'invoice' })
  await (await mail.pop())?.nack({ error: '550 no such mailbox' })
  for (const to of ['ann', 'bea', 'carl', 'dora', 'emil', 'fay'])
    await mail.pushJson({ to: `${to}@shop.example`, template: 'invoice' })
  await mail.pop()
  await queue(kv, 'thumbnails').push('products/1001.jpg')

  const web = registry(kv, 'web')
  for (const [id, zone] of [
    ['web-1', 'east'],
    ['web-2', 'west'],
    ['web-3', 'west'],
  ])
    await web.register({ id, url: `http://10.0.0.2${id.at(-1)}:8080`, meta: { zone } })

  const steps = (ship) => [
    { name: 'reserve', run: () => ({ shelf: 'B4' }), compensate: () => {} },
    { name: 'pay', run: () => ({ receipt: 'r-811' }), compensate: () => {} },
    { name: 'ship', run: ship },
  ]
  await saga(
    kv,
    'order',
    steps(() => 'sent'),
  ).run('0023', { customer: 'c51' })
  const begun = Promise.withResolvers()
  const neverSent = ({ signal: lost }) => {
    begun.resolve()
    return new Promise((_, reject) => lost.addEventListener('abort', () => reject(lost.reason)))
  }
  wait(saga(kv, 'order', steps(neverSent)).run('0024', { customer: 'c88' }, { signal }))
  await begun.promise
}

async function addUsers(command) {
  await command('role', 'add', 'shop')
  await command('role', 'grant', 'shop', 'readwrite', '--prefix', 'orders/')
  await command('role', 'grant', 'shop', 'read', '--prefix', 'config/')
  await command('role', 'add', 'operators')
  await command('role', 'grant', 'operators', 'admin')
  await command('user', 'add', 'shop', '--role', 'shop', '--no-password')
  await command('user', 'add', 'ann', '--role', 'operators', '--role', 'shop', '--no-password')
}

/** Writes and reads until the signal fires, so that the charts have something to show. */
async function makeLoad(kv, signal) {
  for (let n = 0; !signal.aborted; n++) {
    const key = `stock/${1001 + (n % 24)}`
    await (n % 3 === 0 ? kv.put(key, String(n % 500)) : kv.get(key)).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, LOAD_PAUSE_MS))
  }
}
