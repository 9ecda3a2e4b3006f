import streamlit

streamlit.write("hello")
