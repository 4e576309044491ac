// The unit and the environment file of a node. The package has the unit (deploy/systemd/quorate.service), with the
// places where packages of a distribution would put Node.js and quorate.

import { readFileSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

export interface Programs {
  readonly node: string
  /** The directory of this package. */
  readonly quorate: string
}

const PACKAGED: Programs = { node: '/usr/bin/node', quorate: '/usr/lib/node_modules/quorate' }

/** Programs that run now. */
export const runningPrograms = (): Programs => ({
  node: realpathSync(process.execPath),
  quorate: realpathSync(dirname(createRequire(import.meta.url).resolve('quorate/package.json'))),
})

/** The unit for these programs. `writable`: directories besides that of the data. */
export function unitText({ node, quorate }: Programs, writable: readonly string[]): string {
  const text = readFileSync(join(quorate, 'deploy/systemd/quorate.service'), 'utf8')
    .replaceAll(PACKAGED.quorate, quorate)
    .replaceAll(PACKAGED.node, node)
  // A directory that is missing, such as that of a disk that is not mounted, does not stop the node.
  const lines = writable.map((directory) => `ReadWritePaths=-${directory}\n`)
  return text.replace(/^(UMask=.*\n)/m, `$1${lines.join('')}`)
}

/** Variables of the environment file that the unit uses. */
export interface NodeEnvironment {
  readonly NAME: string
  readonly HOST: string
  /** Flags, or nothing. */
  readonly JOIN: string
  readonly METRICS: string
  readonly BACKUP: string
}

const HEAD = `# The node of this machine. \`quorate node setup\` makes this file, and keeps what you add. FLAGS has further flags of
# \`quorate node start\`. After a change: systemctl restart quorate
`

/** The text with these values. Other lines stay. */
export function environmentText(before: string | undefined, values: NodeEnvironment): string {
  let text = before ?? `${HEAD}FLAGS=\n`
  for (const [name, value] of Object.entries(values)) {
    const line = `${name}=${value}`
    const pattern = new RegExp(`^${name}=.*$`, 'm')
    if (pattern.test(text)) text = text.replace(pattern, () => line)
    else
      text = text.includes('\nFLAGS=')
        ? text.replace('\nFLAGS=', () => `\n${line}\nFLAGS=`)
        : `${text.replace(/\n*$/, '\n')}${line}\n`
  }
  return text
}

export function parseEnvironment(text: string): Partial<NodeEnvironment> {
  const found: Record<string, string> = {}
  for (const [, name = '', value = ''] of text.matchAll(/^([A-Z]+)=(.*)$/gm)) found[name] = value
  return found
}
