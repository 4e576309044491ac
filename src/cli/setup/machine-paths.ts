// Files of a node that systemd runs, below the root of the machine. docs/guides/three-machines.md names them too.

import { join } from 'node:path'

export const SERVICE_USER = 'quorate'

export interface MachinePaths {
  readonly configuration: string
  readonly environment: string
  readonly ca: string
  readonly cert: string
  readonly key: string
  /** The home of the user. */
  readonly state: string
  readonly data: string
  readonly unit: string
  /** The flag of the next start only. systemd removes it, and so does a restart of the machine. */
  readonly replacement: string
}

/** `root`: another directory than `/` in tests, and for images of machines. */
export function machinePaths(root: string): MachinePaths {
  const configuration = join(root, 'etc/quorate')
  const state = join(root, 'var/lib/quorate')
  return {
    configuration,
    environment: join(configuration, 'quorate.env'),
    ca: join(configuration, 'ca.crt'),
    cert: join(configuration, 'node.crt'),
    key: join(configuration, 'node.key'),
    state,
    data: join(state, 'data'),
    unit: join(root, 'etc/systemd/system/quorate.service'),
    replacement: join(root, 'run/quorate-replace.env'),
  }
}
