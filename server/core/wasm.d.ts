/** What an import of the core with `{ type: "file" }` gives: the path of the file, embedded or on the disk. */
declare module "*.wasm" {
  const path: string;
  export default path;
}
