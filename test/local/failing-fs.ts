// Functions of node:fs that fail as on another file system.

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { onTestFinished } from 'vitest'

/** Until the end of the test, the function fails with this code for paths that contain `part`. */
export function failingFs(name: 'linkSync' | 'openSync' | 'writeFileSync', part: string, code: string): void {
  const real = fs[name]
  const replace = (by: unknown) => {
    Object.assign(fs, { [name]: by })
    syncBuiltinESMExports()
  }
  replace((path: fs.PathLike, ...rest: readonly unknown[]) => {
    if (!String(path).includes(part)) return Reflect.apply(real, fs, [path, ...rest])
    throw Object.assign(new Error(`${code}: ${name} '${path}'`), { code, syscall: name })
  })
  onTestFinished(() => replace(real))
}
