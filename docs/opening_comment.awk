# Doxygen's filter for headers (docs/Doxyfile): makes the comment that opens a header, which says
# what it promises, the description of the file. What is indented, such as a diagram, stays as it
# stands. The blank line behind #pragma once makes room for the line that is added, so that warnings
# name the right lines.

NR == 1 && /^\/\// { opening = 1; fresh = 1; print "/// @file" }

opening && !/^\/\// { opening = 0; added = 1 }

opening {
  text = substr($0, 3)
  sub(/^ /, "", text)
  if (text == "") {
    fresh = 1
  } else if (fresh) {
    fresh = 0
    as_it_stands = text ~ /^ /
  }
  if (as_it_stands) {
    text = "    " text
  } else {
    gsub(/[\\@<>#&%]/, "\\\\&", text)
  }
  print "/// " text
  next
}

added && /^$/ { added = 0; next }

{ print }
