import { existsSync, renameSync } from 'node:fs'

/** Renames `dir` to the first free name `dir.old-N` and returns that name; undefined when there is no `dir`. */
export function backUpDirectory(dir: string): string | undefined {
  if (!existsSync(dir)) return undefined
  for (let number = 1; ; number++) {
    const backup = `${dir}.old-${number}`
    if (existsSync(backup)) continue
    renameSync(dir, backup)
    return backup
  }
}
