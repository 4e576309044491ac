// A build of the console in few bytes.

import { join } from 'node:path'

export const PLACEHOLDER = join(import.meta.dirname, 'placeholder')

export const SCRIPT = 'assets/main-0d1e2f3a.js'
