// The temporary directory of an embedded cluster. A process that ends without `close()` leaves it behind; the next
// cluster on the machine removes it.
//
// A Unix socket in the directory shows that its cluster lives: the system refuses connections to it as soon as the
// process has ended, however it ended. A pid would not do, since containers may share a temporary directory and not
// their pids. Where no socket can be made (on Windows, or because the path is too long), the directory stays.

import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const PREFIX = 'quorate-embedded-'
const SOCKET = 'alive'

export interface TemporaryDirectory {
  readonly path: string
  remove(): Promise<void>
}

export async function makeTemporary(): Promise<TemporaryDirectory> {
  const place = resolve(tmpdir())
  await removeAbandoned(place)
  const path = await mkdtemp(join(place, PREFIX))
  const server = await listen(join(path, SOCKET))
  return {
    path,
    async remove() {
      server?.close()
      await rm(path, { recursive: true, force: true })
    },
  }
}

async function removeAbandoned(place: string): Promise<void> {
  const names = (await readdir(place)).filter((name) => name.startsWith(PREFIX))
  await Promise.all(
    names.map(async (name) => {
      const path = join(place, name)
      // Another process may be removing it at the same time; what cannot be removed stays.
      if (await isAbandoned(join(path, SOCKET)))
        await rm(path, { recursive: true, force: true }).catch(() => {})
    }),
  )
}

function listen(path: string): Promise<Server | undefined> {
  return new Promise((done) => {
    const server = createServer((socket) => socket.destroy())
    server.on('error', () => done(undefined))
    server.listen(path, () => done(server)).unref()
  })
}

function isAbandoned(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path)
    socket.on('connect', () => {
      socket.destroy()
      done(false)
    })
    // Without the socket the directory is being made, or is none of ours.
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code === 'ECONNREFUSED'))
  })
}
