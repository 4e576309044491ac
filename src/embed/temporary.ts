// The temporary directory of an embedded cluster. A process that ends without `close()` leaves it behind; the next
// cluster on the machine removes it.
//
// A Unix socket in the directory shows that its cluster lives: the system refuses connections to it as soon as the
// process has ended, for any reason. A pid is not enough: containers may share a temporary directory, but not their
// pids. If no socket can be made (on Windows, or because the path is too long), the directory stays.
//
// The system also refuses connections to a socket that does not listen yet. So the socket gets its name when it
// listens, and the directory is removed before the socket is closed.

import { lstat, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const PREFIX = 'quorate-embedded-'
const SOCKET = 'alive'
const NEW_SOCKET = 'new'

export interface TemporaryDirectory {
  readonly path: string
  remove(): Promise<void>
}

export async function makeTemporary(): Promise<TemporaryDirectory> {
  const place = resolve(tmpdir())
  await removeAbandoned(place)
  const path = await mkdtemp(join(place, PREFIX))
  const server = await listen(join(path, NEW_SOCKET))
  if (server !== undefined) await rename(join(path, NEW_SOCKET), join(path, SOCKET))
  return {
    path,
    async remove() {
      await rm(path, { recursive: true, force: true }).finally(() => server?.close())
    },
  }
}

async function removeAbandoned(place: string): Promise<void> {
  // A user may be allowed to make directories in a directory, but not to list it.
  const all = await readdir(place).catch(() => [])
  const names = all.filter((name) => name.startsWith(PREFIX))
  await Promise.all(
    names.map(async (name) => {
      const path = join(place, name)
      // Another process may remove it at the same time. What cannot be removed stays.
      if (await isAbandoned(path)) await rm(path, { recursive: true, force: true }).catch(() => {})
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

/** False if another user has made it, or if it is not such a directory. */
async function isAbandoned(path: string): Promise<boolean> {
  const socket = join(path, SOCKET)
  try {
    const [directory, file] = await Promise.all([lstat(path), lstat(socket)])
    const isOwn = directory.isDirectory() && directory.uid === process.getuid?.()
    return isOwn && file.isSocket() && (await refuses(socket))
  } catch {
    return false
  }
}

function refuses(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path)
    socket.on('connect', () => {
      socket.destroy()
      done(false)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code === 'ECONNREFUSED'))
  })
}
