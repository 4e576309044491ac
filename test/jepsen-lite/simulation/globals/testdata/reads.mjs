import { readFileSync } from 'node:fs'

readFileSync(import.meta.filename)
