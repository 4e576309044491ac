// Opens a page in the browser of the user, where there is one.

import { spawn } from 'node:child_process'
import { failureReason } from '../../local/failure.ts'
import { io } from '../terminal/io.ts'

/** The program that opens a URL, with its first arguments; undefined where there is no display. */
function opener(): readonly [string, ...string[]] | undefined {
  switch (process.platform) {
    case 'darwin':
      return ['open']
    case 'win32':
      return ['rundll32', 'url.dll,FileProtocolHandler']
    default: {
      const { DISPLAY, WAYLAND_DISPLAY } = io().env
      return DISPLAY || WAYLAND_DISPLAY ? ['xdg-open'] : undefined
    }
  }
}

/** Returns the reason if there is no browser. Does not wait for the page. */
export function openInBrowser(url: string): Promise<string | undefined> {
  const found = opener()
  if (found === undefined) return Promise.resolve('there is no display')
  const [file, ...args] = found
  const { env, cwd } = io()
  return new Promise((resolve) => {
    const child = spawn(file, [...args, url], { env, cwd, stdio: 'ignore', detached: true })
    child.once('error', (error) => resolve(`${file}: ${failureReason(error)}`))
    child.once('spawn', () => {
      child.unref()
      resolve(undefined)
    })
  })
}
