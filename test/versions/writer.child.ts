// A client under an upgrade: node writer.child.ts ROOT WIRE ENDPOINTS NAME. It writes and reads with the library of
// ROOT until its stdin ends. Each line of its output is an acknowledged write, or a call that failed.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [root = '', wire = '', endpoints = ''] = process.argv.slice(2)
const at = (path: string): string => pathToFileURL(join(root, path)).href
const { Client }: typeof import('../../src/index.ts') = await import(at('src/index.ts'))
const { EtcdClient }: typeof import('../../src/etcd-client/index.ts') = await import(
  at('src/etcd-client/index.ts')
)
const urls = endpoints.split(',')
const options = { endpoints: urls, discover: false, timeoutMs: 30_000 }
const client =
  wire === 'grpc'
    ? new EtcdClient(options)
    : new Client({ ...options, transport: wire === 'http' ? 'http' : 'auto' })

let isOver = false
process.stdin.on('end', () => {
  isOver = true
})
process.stdin.resume()
const print = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

/** Many at a time, so that the library opens multiplexed connections. */
const lane = async (number: number): Promise<void> => {
  for (let count = 1; !isOver; count++) {
    const [key, value] = [`${process.argv[5] ?? wire}/${number}/${count % 20}`, `${count}`]
    try {
      await client.put(key, value)
      print({ key, value })
      const found = await client.get(key)
      if (String(found?.value) !== value && Buffer.from(found?.value ?? '').toString() !== value)
        print({ failed: `${key}: ${value} was acknowledged, and ${found?.value} is read` })
    } catch (error) {
      print({ failed: `${key}: ${error instanceof Error ? `${error.name}: ${error.message}` : error}` })
    }
    await new Promise((done) => setTimeout(done, 20))
  }
}
await Promise.all(Array.from({ length: wire === 'mux' ? 8 : 2 }, (_, number) => lane(number)))
await client.close()
process.exit(0)
