// The HTTP API of a node. README.md describes how it is built.

export { OPEN_FILES_MIN, openFilesMax } from '../node/descriptors.ts'
export type { HttpLimits } from './limits.ts'
export { httpLimits, httpLimitsFault } from './limits.ts'
export type { HttpServer, HttpServerOptions } from './server.ts'
export { createHttpServer } from './server.ts'
