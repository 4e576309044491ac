// The version of this package.

import { createRequire } from 'node:module'

/** The version in the manifest of the package, found by name: its depth differs between a clone and an installation. */
export function version(): string {
  const manifest: unknown = createRequire(import.meta.url)('quorate/package.json')
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version)
  throw new Error('package.json names no version')
}
