/**
 * Where the page was loaded from. A proxy may have put the service under a prefix (`/chat/`), beside another one on
 * the same origin. The service is the folder of the page, and what is stored is named after it.
 */

/** The folder of a path, without the slash at its end: empty for the root. */
export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
