// The exports of the HTTP listener.

export { OPEN_FILES_MIN, openFilesMax } from '../node/descriptors.ts'
export type { ServedClients } from './guard.ts'
export type { HttpLimits } from './limits.ts'
export { httpLimits, httpLimitsFault } from './limits.ts'
export type { HttpServer, HttpServerOptions } from './server.ts'
export { createHttpServer } from './server.ts'
