// biome-ignore-all lint/suspicious/noControlCharactersInRegex: the first bytes of files are such characters.
import { type FileKind, fileKind } from "../fileKind.ts";

/** A kind of file that people give as an image. */
interface ImageKind extends FileKind {
  /** Ends the sentence "is …". */
  readonly is: string;
  /** What to do, as a sentence. */
  readonly remedy: string;
}

const convert = (command: string) => `Convert it to JPEG or PNG first, for example with: ${command}`;
const MAGICK = convert("magick FILE new.png (ImageMagick).");
const HEIC = convert(
  "heif-convert FILE new.jpg, sips -s format jpeg FILE --out new.jpg (macOS) or magick FILE new.jpg.",
);
const RAW = "Develop it first, as JPEG or TIFF: what it holds as an ordinary image is a small preview.";
const FRAMES = "Take pictures out of it first, for example with: ffmpeg -i FILE %05d.jpg.";
const UNPACK = "Unpack it, and give the images that are in it.";

/** What is not decoded, however whole it is. */
const KINDS: readonly ImageKind[] = [
  { start: /^.{4}ftyphe/s, is: "a HEIC image (HEIF with HEVC, as iPhones write it)", remedy: HEIC },
  { start: /^.{4}ftyp(mif|msf)/s, is: "an image in HEIF", remedy: HEIC },
  { start: /^(\xff\x0a|.{4}JXL \r\n)/s, is: "a JPEG XL image", remedy: convert("djxl FILE new.png.") },
  { start: /^(\xff\x4f\xff\x51|.{4}jP {2}\r\n)/s, is: "a JPEG 2000 image", remedy: MAGICK },
  { start: /^II\xbc/, is: "a JPEG XR image", remedy: MAGICK },
  { start: /^BM.{4}\0{4}/s, is: "a BMP image", remedy: MAGICK },
  { start: /^8BPS/, is: "a Photoshop document", remedy: MAGICK },
  { start: /^P[1-7]\s/, is: "a PNM image (PPM, PGM, PBM)", remedy: MAGICK },
  { start: /^\0\0[\x01\x02]\0[^\0]/, is: "an icon (ICO)", remedy: MAGICK },
  { start: /^(v\/1\x01|#\?RAD|DDS |qoif|SIMPLE {2}=)/, is: "an OpenEXR, HDR, DDS, QOI or FITS image", remedy: MAGICK },
  { start: /^.{128}DICM/s, is: "a DICOM file", remedy: convert("dcmj2pnm +on FILE new.png.") },
  {
    start: /^(II\*\0.{4}CR|II(RO|RS|U\0)|MMOR|II.{4}HEAPCCDR|FUJIFILMCCD-RAW|FOVb|\0MRM|.{4}ftypcrx)/s,
    is: "a camera's raw image",
    remedy: RAW,
  },
  { start: /^%PDF/, is: "a PDF document", remedy: convert("pdftoppm -png FILE page.") },
  {
    start: /^(.{4}ftyp(?!avi[fs])|.{4}(moov|mdat|wide)|\x1aE\xdf\xa3|RIFF.{4}AVI |FLV|\0\0\x01[\xb3\xba])/s,
    is: "a video",
    remedy: FRAMES,
  },
  {
    start: /^(\xef\xbb\xbf)?\s*(<\?xml.*|<!--.*|<!DOCTYPE svg.*)?<svg[\s>]/is,
    is: "an SVG drawing",
    remedy: convert("rsvg-convert FILE -o new.png."),
  },
  {
    start: /^(\xef\xbb\xbf)?\s*</,
    is: "a web page or XML",
    remedy: "If it was downloaded, that went wrong: fetch the image itself.",
  },
  {
    start: /^version https:\/\/git-lfs/,
    is: "a pointer of Git LFS, not the image itself",
    remedy: "Fetch it with: git lfs pull.",
  },
  {
    start: /^\/annex\/objects/,
    is: "a pointer of git-annex, not the image itself",
    remedy: "Fetch it with: git annex get.",
  },
  {
    start: /^\0\x05\x16\x07/,
    is: "a companion file of macOS, not the image itself",
    remedy: "Delete it: the image has the same name without ._ before it.",
  },
  { start: /^(\x1f\x8b|PK\x03\x04|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ)/, is: "a compressed archive", remedy: UNPACK },
  {
    start: /^\x93NUMPY/,
    is: "a NumPy array",
    remedy: 'Save it as an image first, in Python: PIL.Image.fromarray(array).save("new.png").',
  },
  {
    start: /^\0{64}/,
    is: "nothing but zeros where an image begins",
    remedy: "A copy or download broke off: fetch the file again.",
  },
];

/** Raw images of cameras that are TIFF files with a small preview in the first place, so that only their names tell. */
const RAW_NAME = /\.(dng|nef|nrw|arw|sr2|srf|pef|srw|3fr|fff|iiq|erf|mef|mos|kdc|dcr|rwl)$/i;
const TIFF = /^(II[*+]\0|MM\0[*+])/;
/** Kinds that are decoded: a file that begins so and cannot be read is damaged. */
const DECODED = /^(\xff\xd8|\x89PNG|GIF8|RIFF.{4}WEBP|.{4}ftypavi[fs])/s;

/** Kind and remedy of a file that cannot be decoded though it may be whole; undefined for any other. */
export function undecodableKind(name: string, bytes: Uint8Array): { is: string; remedy: string } | undefined {
  const found = fileKind(KINDS, bytes);
  if (found) return found;
  if (RAW_NAME.test(name) && fileKind([{ start: TIFF }], bytes)) return { is: "a camera's raw image", remedy: RAW };
  return bytes.length === 0 ? { is: "empty (0 bytes)", remedy: "Fetch or export it again." } : undefined;
}

/** Whether a file begins like an image of a kind that is decoded. */
export const isDecodedKind = (bytes: Uint8Array): boolean =>
  fileKind([{ start: DECODED }, { start: TIFF }], bytes) !== undefined;
